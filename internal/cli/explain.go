package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/report"
)

// ruleReport is what `lumacore explain` says: gates with their rules.
type ruleReport struct {
	report.TypeMeta
	Gates []explainedGate `json:"gates"`

	one bool // a rule was asked for: all that is known of it
}

type explainedGate struct {
	Name  string        `json:"name"`
	Title string        `json:"title"`
	Rules []report.Rule `json:"rules"`
}

func newExplain(s *report.Streams) *cobra.Command {
	var out report.Outputs
	cmd := &cobra.Command{
		Use:   "explain [RULE]",
		Short: "Explain a rule of check: why, how to fix it, how to suppress it",
		Long: `Explain says what a rule looks for, what goes wrong without it, and how to fix
what it finds, with an example of each. It also says how to suppress a finding.

Without a rule it lists all of them; with the name of a gate, those of the gate.`,
		Example: `  # all rules
  lumacore explain

  # one of them
  lumacore explain images/no-digest`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return report.Misuse(cmd.CommandPath()+" --help", "%s takes one rule, got %d arguments", cmd.CommandPath(), len(args))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			if len(args) == 0 {
				for _, g := range registry.Gates {
					for _, r := range g.Rules {
						ids = append(ids, r.ID+"\t"+r.Title)
					}
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			r, err := explain(registry.Gates, args...)
			if err != nil {
				return err
			}
			return out.Write(s, r)
		},
	}
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

// explain returns all gates or, if there is a name, the gate or rule of that name.
func explain(gates []*check.Gate, names ...string) (*ruleReport, error) {
	rep := &ruleReport{TypeMeta: report.Meta("RuleReport"), Gates: []explainedGate{}}
	all, name := len(names) == 0, strings.Join(names, " ")
	var known []string
	for _, g := range gates {
		known = append(known, g.Name)
		e := explainedGate{Name: g.Name, Title: g.Title, Rules: []report.Rule{}}
		for _, r := range g.Rules {
			known = append(known, r.ID)
			if all || name == g.Name || name == r.ID {
				e.Rules = append(e.Rules, r)
			}
			rep.one = rep.one || name == r.ID
		}
		if len(e.Rules) > 0 {
			rep.Gates = append(rep.Gates, e)
		}
	}
	if !all && !slices.Contains(known, name) {
		next := "lumacore explain lists them all"
		if near := report.Nearest(name, known); near != "" {
			next = "did you mean lumacore explain " + near + "?"
		}
		return nil, report.Misuse(next, "there is no rule %q", name)
	}
	return rep, nil
}

// Text implements report.Document.
func (r *ruleReport) Text(s *report.Streams, w io.Writer) error {
	var b strings.Builder
	for i, g := range r.Gates {
		if r.one {
			explainText(&b, s, g.Rules[0])
			continue
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s\n", g.Name, g.Title)
		width := 0
		for _, rule := range g.Rules {
			width = max(width, len(rule.ID))
		}
		for _, rule := range g.Rules {
			fmt.Fprintf(&b, "  %-*s  %-7s  %s\n", width, rule.ID, rule.Severity, rule.Title)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func explainText(b *strings.Builder, s *report.Streams, r report.Rule) {
	color := map[report.Severity]string{report.Error: report.Bad, report.Warning: report.Warn, report.Info: report.Faint}[r.Severity]
	fmt.Fprintf(b, "%s  %s\n%s\n", r.ID, s.Paint(s.Out, color, string(r.Severity)), r.Title)
	for _, part := range []struct{ title, text string }{
		{"Why", wrap(r.Why)},
		{"Fix", wrap(r.Fix)},
		{"Runs only with the flag", needs(r)},
		{"Found by the rule", r.Bad},
		{"After the fix", r.Good},
	} {
		if part.text != "" {
			section(b, part.title, part.text)
		}
	}
	if r.Gate() != check.ConfigGate.Name { // whose findings are about exceptions themselves
		section(b, "To suppress it for one object, as long as the object has this annotation",
			"metadata:\n  annotations:\n    "+check.Annotation(r.ID)+": the reason\n")
		section(b, "To suppress it in lumacore.yaml, until a day; file, object and message narrow it",
			"check:\n  allow:\n    - rule: "+r.ID+"\n      file: apps/example/**\n      object: Deployment example/*\n      reason: the reason\n      expires: YYYY-MM-DD\n")
	}
	section(b, "To give it another severity in lumacore.yaml: error, warning, info or off",
		"check:\n  severity:\n    "+r.ID+": info\n")
	fmt.Fprintf(b, "\nMore: %s\n", r.Link)
}

func needs(r report.Rule) string {
	if r.Needs == "" {
		return ""
	}
	return r.Needs + "\n"
}

// section writes a title and, indented, a text.
func section(b *strings.Builder, title, text string) {
	fmt.Fprintf(b, "\n%s:\n", title)
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			line = "  " + line
		}
		fmt.Fprintln(b, line)
	}
}

// wrap breaks text into lines that fit a terminal when they are indented.
func wrap(text string) string {
	const most = 86
	var b strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		length := len([]rune(word))
		switch {
		case n == 0:
		case n+1+length > most:
			b.WriteByte('\n')
			n = 0
		default:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += length
	}
	return b.String() + "\n"
}
