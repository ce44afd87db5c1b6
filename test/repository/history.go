package repository

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxCommits is the largest number of commits of a history.
const MaxCommits = 1_000_000

// Planted is a secret that was put into a history, and taken out again by a later
// commit. The secrets are made up: nobody ever gave one of them out.
type Planted struct {
	Rule   string `json:"rule"` // of Gitleaks: "github-pat"
	Commit int    `json:"commit"`
	File   string `json:"file"`
	Line   int    `json:"line"` // in that commit
}

// Subject is the first line of the message of a commit, by its number from 1. Names of
// commits are known to Git alone.
func Subject(commit int) string { return fmt.Sprintf("change %d", commit) }

// History writes a history of so many commits of the repository for `git fast-import`
// (https://git-scm.com/docs/git-fast-import), on the branch main, and changes the
// files to those of the last commit. The first commit has all files; the others are
// what people and bots do: new versions of images, settings, notes, now and then a
// file that is large or moves, a branch that is merged. Some commits plant secrets.
func (r *Repository) History(w io.Writer, commits int, seed uint64) ([]Planted, error) {
	if commits < 1 || commits > MaxCommits {
		return nil, fmt.Errorf("%d commits: a history has 1 to %d", commits, MaxCommits)
	}
	h := &history{r: r, random: rand.New(rand.NewPCG(seed, 2)), changed: map[string]bool{}}
	for name := range r.Files {
		if app, _, ok := strings.Cut(strings.TrimPrefix(name, "apps/"), "/"); ok && strings.HasPrefix(name, "apps/") {
			h.apps = append(h.apps, app)
		}
		h.changed[name] = true
	}
	slices.Sort(h.apps)
	h.apps = slices.Compact(h.apps)
	h.commit(1, 0)
	for n := 2; n <= commits; n++ {
		switch {
		case len(h.planted) > len(h.removed):
			h.remove()
		case n%97 == 0:
			h.plant(n)
		case n%41 == 0:
			h.move()
		case n%7 == 0:
			h.dashboard()
		case n%11 == 0:
			h.definition()
		default:
			h.edit(n)
		}
		merged := 0
		if n%50 == 3 && n%97 > 1 { // Git shows no differences of what is merged
			merged = n - 2
		}
		h.commit(n, merged)
		if h.stream.Len() > 1<<20 || n == commits {
			if _, err := h.stream.WriteTo(w); err != nil {
				return nil, err
			}
		}
	}
	_, err := h.stream.WriteTo(w)
	return h.planted, err
}

type history struct {
	r       *Repository
	random  *rand.Rand
	apps    []string
	stream  bytes.Buffer
	changed map[string]bool // files, since the last commit
	planted []Planted
	removed []Planted
}

// write changes a file; nil deletes it.
func (h *history) write(name string, data []byte) {
	if h.changed[name] = true; data == nil {
		delete(h.r.Files, name)
		return
	}
	h.r.Files[name] = data
}

// commit writes what has changed. merged is the number of a commit that becomes a
// second parent, if it is not 0.
func (h *history) commit(n, merged int) {
	when := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour).Unix()
	subject := Subject(n)
	fmt.Fprintf(&h.stream, "commit refs/heads/main\nmark :%d\nauthor Test <test@example.org> %d +0200\ncommitter Test <test@example.org> %d +0000\ndata %d\n%s\n",
		n, when, when, len(subject), subject)
	if n > 1 {
		fmt.Fprintf(&h.stream, "from :%d\n", n-1)
	}
	if merged > 0 {
		fmt.Fprintf(&h.stream, "merge :%d\n", merged)
	}
	for _, name := range slices.Sorted(maps.Keys(h.changed)) {
		if data, ok := h.r.Files[name]; ok {
			fmt.Fprintf(&h.stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(data), data)
		} else {
			fmt.Fprintf(&h.stream, "D %s\n", name)
		}
	}
	h.stream.WriteByte('\n')
	clear(h.changed)
}

func (h *history) app() string { return h.apps[h.random.IntN(len(h.apps))] }

// word returns random letters and digits.
func (h *history) word(n int, letters string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[h.random.IntN(len(letters))]
	}
	return string(b)
}

var pinned = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// edit is a small change: mostly another digest, else settings or notes.
func (h *history) edit(n int) {
	app := h.app()
	var files []string
	for name, data := range h.r.Files {
		if strings.HasPrefix(name, "apps/"+app+"/") && pinned.Match(data) {
			files = append(files, name)
		}
	}
	if len(files) > 0 && h.random.IntN(10) < 6 {
		name := slices.Min(files)
		to := []byte("sha256:" + h.word(64, "0123456789abcdef"))
		h.write(name, pinned.ReplaceAll(h.r.Files[name], to))
		return
	}
	if h.random.IntN(2) == 0 {
		name := "apps/" + app + "/settings.toml"
		lines := strings.SplitAfter(string(h.r.Files[name]), "\n")
		setting := []string{
			"auth_url = \"https://login.example.org/%s\"\n", "access_log = \"/var/log/%s\"\n", "timeout_%s = 30\n",
			"key_file = \"/etc/%s/tls.key\"\n", "existing_secret = \"%s\"\n", "workers_%s = 4\n", "api_url = \"http://%s:8080/api/v1\"\n",
		}[h.random.IntN(7)]
		at := h.random.IntN(len(lines))
		lines = slices.Insert(lines, at, fmt.Sprintf(setting, words[h.random.IntN(len(words))]))
		h.write(name, []byte(strings.Join(lines[max(0, len(lines)-60):], "")))
		return
	}
	name := "docs/" + app + ".md"
	text := append(slices.Clone(h.r.Files[name]), fmt.Sprintf("- %s of %s: see ADR %d, which says why the %s keeps its volume when it is moved.\n",
		Subject(n), app, h.random.IntN(100), words[h.random.IntN(len(words))])...)
	h.write(name, text[max(0, len(text)-4000):])
}

// dashboard writes a larger file, of the kind that is generated elsewhere.
func (h *history) dashboard() {
	var b strings.Builder
	b.WriteString("{\n  \"panels\": [\n")
	for i := range 60 {
		fmt.Fprintf(&b, "    {\"id\": %d, \"title\": \"%s\", \"datasource\": {\"uid\": \"%s\"},\n     \"targets\": [{\"expr\": \"sum(rate(http_requests_total{app=\\\"%s\\\"}[5m]))\"}]},\n",
			i, words[h.random.IntN(len(words))], h.word(9, "abcdefghijklmnopqrstuvwxyz0123456789"), h.app())
	}
	b.WriteString("    {}\n  ]\n}\n")
	h.write("dashboards/"+h.app()+".json", []byte(b.String()))
}

// definition writes a CustomResourceDefinition as an operator brings it.
func (h *history) definition() {
	var b strings.Builder
	name := words[h.random.IntN(len(words))]
	fmt.Fprintf(&b, "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: %ss.example.org\nspec:\n  versions:\n    - name: v1\n      schema:\n        openAPIV3Schema:\n          properties:\n", name)
	for range 150 {
		field := words[h.random.IntN(len(words))] + []string{"Ref", "SecretRef", "KeySelector", "Policy", "Interval", "Token"}[h.random.IntN(6)]
		fmt.Fprintf(&b, "            %s:\n              description: The %s of the %s. It is looked up in the same namespace, and must have the key that is named here.\n              type: string\n", field, field, name)
	}
	h.write("crds/"+name+".yaml", []byte(b.String()))
}

// move renames a file of notes, and changes a line of it.
func (h *history) move() {
	for _, name := range slices.Sorted(maps.Keys(h.r.Files)) {
		if old, ok := strings.CutPrefix(name, "docs/"); ok && !strings.HasPrefix(old, "old/") && len(h.r.Files[name]) > 500 {
			h.write("docs/old/"+old, append(slices.Clone(h.r.Files[name]), "- Moved.\n"...))
			h.write(name, nil)
			return
		}
	}
}

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit = "0123456789"
)

// plant adds a file with a secret in its third line.
func (h *history) plant(n int) {
	p := Planted{Commit: n, Line: 3, File: fmt.Sprintf("apps/%s/planted-%d.txt", h.app(), n)}
	secret := ""
	switch n / 97 % 4 {
	case 0:
		p.Rule, secret = "github-pat", "gh"+"p_"+h.word(36, lower+upper+digit)
	case 1:
		p.Rule, secret = "generic-api-key", "upstream_api"+"_key = \""+h.word(32, "bcdfghjkmnpqrtvwxz"+digit)+"7z\""
	case 2:
		p.Rule, secret = "private-key", "-----BEGIN PRIVATE "+"KEY-----\n"+h.word(64, lower+upper+digit)+"\n"+h.word(64, lower+upper+digit)+"\n-----END PRIVATE "+"KEY-----"
	case 3:
		p.Rule, secret = "gitlab-pat", "gl"+"pat-"+h.word(20, lower+upper+digit)
	}
	h.write(p.File, fmt.Appendf(nil, "# settings of the upstream\nurl = \"https://upstream.example.org\"\n%s\n", secret))
	h.planted = append(h.planted, p)
}

// remove deletes the file with the newest secret.
func (h *history) remove() {
	slices.SortFunc(h.planted, func(a, b Planted) int { return cmp.Compare(a.Commit, b.Commit) })
	p := h.planted[len(h.planted)-1]
	h.write(p.File, nil)
	h.removed = append(h.removed, p)
}
