package homelab

import (
	"fmt"
	"io"
	"strings"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// Report is what `lumacore init` says of the repository that it made.
type Report struct {
	report.TypeMeta
	Path      string      `json:"path"`   // of the repository, as it was asked for
	Branch    string      `json:"branch"` // with the owner's commit
	Commit    string      `json:"commit"` // the owner's
	Blueprint Origin      `json:"blueprint"`
	Vault     string      `json:"vault"`     // of 1Password
	Items     []Item      `json:"items"`     // to create in the vault
	Bootstrap []Bootstrap `json:"bootstrap"` // Secrets to make in the cluster, before 1Password can bring any
	Next      []Step      `json:"next"`      // what to do then, in order
}

// Origin is what the repository was made from.
type Origin struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
	Branch  string `json:"branch"`
	Commit  string `json:"commit"`
}

// Item is an item of 1Password that the owner creates.
type Item struct {
	Item    string   `json:"item"`
	Purpose string   `json:"purpose"`
	Fields  []string `json:"fields"`
	Make    string   `json:"make"`
}

// Bootstrap is a Secret that the owner makes in the cluster.
type Bootstrap struct {
	Secret  string   `json:"secret"` // namespace/name
	Purpose string   `json:"purpose"`
	Fields  []string `json:"fields"`
	Make    string   `json:"make"`
}

// Step is a command, and what it is for.
type Step struct {
	Command string `json:"command"`
	Why     string `json:"why"`
}

// NewReport says what was made, and what is left to the owner.
func NewReport(m *Made, a Answers) (*Report, error) {
	register, err := config.ParseSecretRegister(m.Files[config.SecretRegisterFile])
	if err != nil {
		return nil, fmt.Errorf("the repository is made, and its register cannot be read: %w", err)
	}
	r := &Report{
		TypeMeta: report.Meta("InitReport"), Path: m.Dir, Branch: Main, Commit: m.Commit,
		Blueprint: Origin{Version: m.Blueprint.Version, Digest: m.Blueprint.Digest, Branch: Vendor, Commit: m.Vendor},
		Vault:     a["vault"].Value, Items: []Item{}, Bootstrap: []Bootstrap{},
		Next: []Step{
			{"cd " + word(m.Dir), "the commands below are for there"},
			{"lumacore check", "what would not build, or be refused; at once, without a cluster"},
			{"lumacore lab up && lumacore lab push", "the homelab on this machine, simulated where it must be"},
			{"git remote add origin " + word(a["gitUrl"].Value), "your GitLab; create the project there first, empty"},
			{"git push -u origin " + Main + " " + Vendor, "the second branch is for upgrades of the blueprint"},
		},
	}
	if register == nil {
		return r, nil
	}
	for _, i := range register.Items {
		r.Items = append(r.Items, Item{Item: i.Item, Purpose: i.Purpose, Fields: i.Fields, Make: i.Make})
	}
	for _, b := range register.Bootstrap {
		r.Bootstrap = append(r.Bootstrap, Bootstrap{Secret: b.Secret.String(), Purpose: b.Purpose, Fields: b.Fields, Make: b.Make})
	}
	return r, nil
}

// word is a word of a command line that no program takes for a flag.
func word(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-:@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Text implements report.Document.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s is the repository of your homelab: branch %s at %.8s, from blueprint %s\n",
		s.Paint(s.Out, report.Good, "made"), r.Path, r.Branch, r.Commit, r.Blueprint.Version)
	faint := func(text string) string { return s.Paint(s.Out, report.Faint, text) }
	if len(r.Items) > 0 {
		fmt.Fprintf(&b, "\nCreate these items in 1Password, vault %s. lumacore never sees what is in them; secrets.register.yaml says more.\n\n", r.Vault)
		for _, i := range r.Items {
			fmt.Fprintf(&b, "  %s: %s\n      %s\n      %s\n", i.Item, strings.Join(i.Fields, ", "), faint(i.Purpose), faint(i.Make))
		}
	}
	if len(r.Bootstrap) > 0 {
		b.WriteString("\nMake these Secrets in the cluster when it is born: they must be there before 1Password can bring any.\n\n")
		for _, i := range r.Bootstrap {
			fmt.Fprintf(&b, "  %s: %s\n      %s\n      %s\n", i.Secret, strings.Join(i.Fields, ", "), faint(i.Purpose), faint(i.Make))
		}
	}
	b.WriteString("\nNext\n\n")
	width := 0
	for _, n := range r.Next {
		width = max(width, len(n.Command))
	}
	for _, n := range r.Next {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, n.Command, faint("# "+n.Why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
