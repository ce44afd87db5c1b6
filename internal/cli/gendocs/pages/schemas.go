package pages

import (
	"bytes"
	"fmt"
	"strings"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/homelab"
	"lumacore.dev/lumacore/internal/settings"
)

// Schemas are the JSON Schemas of the files that an owner writes, by file name.
func Schemas() map[string][]byte {
	all := RepositorySchemas()
	all["answers.schema.json"] = homelab.Schema()
	return all
}

// RepositorySchemas are those of the files in an owner's repository, which has them too,
// for editors.
func RepositorySchemas() map[string][]byte {
	return map[string][]byte{
		"config.schema.json":          config.Schema,
		"settings.schema.json":        settings.Schema(),
		"gitlab-projects.schema.json": config.GitLabSchema,
	}
}

// Settings returns the page of all variables of settings.env.
func Settings() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `%s
# Settings: settings.env

`+"`%s`"+` has the facts of an owner's cluster: everything else in the repository takes them from there, as `+"`${NAME}`"+`. `+"`lumacore init`"+` asks for them, and `+"`lumacore check`"+` holds the file against this table in repositories that init made: a variable that is missing, misspelt or of the wrong form is an error, and so are values that contradict each other, such as a node with the address of the gateway. A variable of your own may stand there too, once something uses it.

A line is `+"`NAME=value`"+`. Quotes, and a comment behind a value, would be part of the value. Nothing secret may stand here.

Every variable is needed. Those with a default may stay as they are.

| variable | default | what it is |
|---|---|---|
`, header, settings.File)
	for _, v := range settings.Variables {
		initial := "yours"
		if v.Default != "" {
			initial = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, initial, strings.NewReplacer("<", "&lt;", "|", "\\|").Replace(v.Meaning))
	}
	b.WriteString(`
The [JSON Schema](settings.schema.json) says the same for programs: it describes the mapping of names to values. Editors have no schemas for files of this kind; the comment above each line in the file is what they can show, and ` + "`lumacore check`" + ` takes less than a second.
`)
	return b.Bytes()
}
