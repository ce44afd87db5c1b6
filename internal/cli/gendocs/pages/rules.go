package pages

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/check"
)

// Rules returns the page of all rules.
func Rules(gates []*check.Gate) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# Rules\n\n", header)
	b.WriteString("What `lumacore check` looks for, by gate. `lumacore explain RULE` prints one of them in a terminal; " +
		"[the configuration](configuration.md) says how to give a rule another severity and how to [suppress a finding](configuration.md#allowing-a-finding). " +
		"A test runs all examples: an example is the file `cluster/objects.yaml` of a repository whose cluster is the folder `cluster`, unless it names its files.\n")
	for _, g := range gates {
		fmt.Fprintf(&b, "\n## Gate %s\n\nFinds %s.\n\n| rule | severity | finds |\n|---|---|---|\n", g.Name, prose(g.Title))
		for _, r := range g.Rules {
			fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.ID, strings.ReplaceAll(r.ID, "/", ""), r.Severity, cell(prose(r.Title)))
		}
		for _, r := range g.Rules {
			fmt.Fprintf(&b, "\n### %s\n\n**%s**: %s.\n\n%s\n\n**Fix:** %s\n\n**More:** <%s>\n", r.ID, r.Severity, prose(r.Title), prose(r.Why), prose(r.Fix), r.Link)
			if r.Needs != "" {
				fmt.Fprintf(&b, "\nRuns only with `%s`.\n", r.Needs)
			}
			example(&b, "Found by the rule:", r.Bad)
			example(&b, "After the fix:", r.Good)
		}
	}
	return b.Bytes()
}

// example writes an example, file by file.
func example(b *bytes.Buffer, title, text string) {
	fmt.Fprintf(b, "\n%s\n", title)
	a := txtar.Parse([]byte(text))
	if len(a.Files) == 0 {
		a.Files = []txtar.File{{Name: ".yaml", Data: []byte(text)}}
	}
	for _, f := range a.Files {
		language := "text"
		if ext := path.Ext(f.Name); ext == ".yaml" || ext == ".yml" {
			language = "yaml"
		}
		b.WriteByte('\n')
		if f.Name != ".yaml" {
			fmt.Fprintf(b, "`%s`:\n\n", f.Name)
		}
		fence := "```"
		for bytes.Contains(f.Data, []byte(fence)) {
			fence += "`"
		}
		fmt.Fprintf(b, "%s%s\n%s", fence, language, f.Data)
		if !bytes.HasSuffix(f.Data, []byte("\n")) {
			b.WriteByte('\n')
		}
		fmt.Fprintln(b, fence)
	}
}

// prose keeps Markdown from taking plain text for markup: outside of `code`, < and *
// are themselves.
func prose(s string) string {
	parts := strings.Split(s, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("<", `\<`, "*", `\*`).Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
