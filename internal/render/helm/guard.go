package helm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	syntax "text/template/parse"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
)

// Bounds of what the templates of one release may do.
const (
	maxActions = 100_000   // of one text: each may be nested in the one before it
	maxFrames  = 10_000    // of the Go stack: some 400 templates in templates
	maxHanded  = 256 << 20 // bytes that functions hand out, in all
	maxLive    = 1 << 30   // bytes that the process may hold more than before
)

// Helm gives every text that tpl takes its own tpl and include, so wrapping those
// two would reach only the first call. The texts themselves are guarded instead:
// "_" stands at the beginning of every template and of every loop's body and stops
// what is too deep or has been given up, and "__" does the same to what tpl takes.
const (
	guardCheck = "_"
	guardText  = "__"
)

// guardedChart guards the templates of a chart and of those below it.
func guardedChart(c *chartv2.Chart) error {
	templates := make([]*common.File, 0, len(c.Templates))
	for _, f := range c.Templates {
		if f == nil {
			continue
		}
		text, err := guarded(string(f.Data))
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		cp := *f
		cp.Data = []byte(text)
		templates = append(templates, &cp)
	}
	c.Templates = templates
	for _, d := range c.Dependencies() {
		if err := guardedChart(d); err != nil {
			return err
		}
	}
	return nil
}

// guarded returns a template with guards in it, on the same lines. What does not
// parse comes back as it is: Helm says why.
func guarded(text string) (string, error) {
	if n := strings.Count(text, "{{"); n > maxActions {
		return "", fmt.Errorf("it has %d actions, more than the %d that a template may have", n, maxActions)
	}
	trees := map[string]*syntax.Tree{}
	top := syntax.New("guard")
	top.Mode = syntax.SkipFuncCheck
	if _, err := top.Parse(text, "", "", trees); err != nil {
		return text, nil // see above
	}
	g := guard{text: text}
	g.insert(0, "{{"+guardCheck+"}}")
	for _, t := range trees {
		if t == top {
			g.walk(t.Root)
			continue
		}
		g.body(t.Root)
	}
	slices.SortFunc(g.inserts, func(a, b insert) int { return cmp.Compare(a.at, b.at) })
	var out strings.Builder
	last := 0
	for _, i := range g.inserts {
		out.WriteString(text[last:i.at])
		out.WriteString(i.text)
		last = i.at
	}
	out.WriteString(text[last:])
	return out.String(), nil
}

type insert struct {
	at   int
	text string
}

// guard collects what to insert into a text.
type guard struct {
	text    string
	inserts []insert
}

func (g *guard) insert(at int, text string) { g.inserts = append(g.inserts, insert{at, text}) }

// body guards a list that begins after an action ("{{ define … }}"). The guard
// comes right after that action, and trims the space that the action trims.
func (g *guard) body(l *syntax.ListNode) {
	if l == nil {
		return
	}
	at := len(strings.TrimRight(g.text[:l.Pos], " \t\r\n"))
	switch {
	case strings.HasSuffix(g.text[:at], "-}}"):
		g.insert(at, "{{"+guardCheck+" -}}")
	case strings.HasSuffix(g.text[:at], "}}"):
		g.insert(at, "{{"+guardCheck+"}}")
	default:
		g.insert(int(l.Pos), "{{"+guardCheck+"}}")
	}
	g.walk(l)
}

func (g *guard) walk(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ListNode:
		if n == nil {
			return
		}
		for _, c := range n.Nodes {
			g.walk(c)
		}
	case *syntax.ActionNode:
		g.walk(n.Pipe)
	case *syntax.TemplateNode:
		g.walk(n.Pipe)
	case *syntax.IfNode:
		g.branch(&n.BranchNode)
	case *syntax.WithNode:
		g.branch(&n.BranchNode)
	case *syntax.RangeNode:
		g.walk(n.Pipe)
		g.body(n.List)
		g.walk(n.ElseList)
	case *syntax.PipeNode:
		if n == nil {
			return
		}
		for _, c := range n.Cmds {
			g.walk(c)
		}
	case *syntax.CommandNode:
		for _, a := range n.Args {
			g.walk(a)
		}
		if id, ok := n.Args[0].(*syntax.IdentifierNode); ok && id.Ident == "tpl" && len(n.Args) > 1 {
			from, to := operand(g.text, int(id.Pos)+len(id.Ident))
			if enclosed(g.text[from:to]) {
				g.insert(to-1, " | "+guardText)
			} else {
				g.insert(from, "("+guardText+" ")
				g.insert(to, ")")
			}
		}
	case *syntax.ChainNode:
		g.walk(n.Node)
	}
}

func (g *guard) branch(b *syntax.BranchNode) {
	g.walk(b.Pipe)
	g.walk(b.List)
	g.walk(b.ElseList)
}

// operand returns where the operand after at begins and ends. The text has been
// parsed: quotes and parentheses are in pairs.
func operand(text string, at int) (from, to int) {
	for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
		at++
	}
	depth := 0
	for to = at; to < len(text); to++ {
		switch c := text[to]; c {
		case '"', '\'', '`':
			for to++; to < len(text) && text[to] != c; to++ {
				if text[to] == '\\' && c != '`' {
					to++
				}
			}
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return at, to
			}
		case ' ', '\t', '\r', '\n', '|', '}':
			if depth == 0 {
				return at, to
			}
		}
	}
	return at, len(text)
}

// enclosed tells whether an operand is one pipeline in parentheses.
func enclosed(s string) bool {
	return strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")")
}

var guards = regexp.MustCompile(`\{\{` + guardCheck + `(?: -)?\}\}| \| ` + guardText + `\b|\(` + guardText + ` ([^()\s]*)\)|\(` + guardText + ` `)

// unguarded returns a message without the guards in the texts that it quotes.
func unguarded(message string) string { return guards.ReplaceAllString(message, "$1") }

// bound counts what the templates of one release take.
type bound struct {
	ctx    context.Context
	handed atomic.Int64
	deep   atomic.Bool // templates were too deep in each other
}

var errDeep = errors.New("its templates call each other without end")

// check stops what nobody waits for any more.
func (b *bound) check() error { return context.Cause(b.ctx) }

// hand counts bytes that a function is about to hand out.
func (b *bound) hand(n int) error {
	if b.handed.Add(int64(n)) > maxHanded {
		return fmt.Errorf("the functions of its templates made more than %d MiB", maxHanded>>20)
	}
	return b.check()
}

// enter is called at the beginning of every template and loop.
func (b *bound) enter() (string, error) {
	var pc [1]uintptr
	if runtime.Callers(maxFrames, pc[:]) > 0 {
		b.deep.Store(true)
		return "", errDeep
	}
	return "", b.check()
}

// text guards what tpl takes.
func (b *bound) text(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return v, b.check() // tpl says what it wants
	}
	if err := b.hand(len(s)); err != nil {
		return nil, err
	}
	return guarded(s)
}

// errMemory says that the process holds too much; which release is to blame for it
// cannot be told.
var errMemory = fmt.Errorf("its templates take more than %d MiB of memory", maxLive>>20)

// watch gives a release up when the process holds too much more than it did. It
// returns when ctx ends.
func watch(ctx context.Context, most uint64, giveUp context.CancelCauseFunc) {
	before := live()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if live() > before+most {
				giveUp(errMemory)
				return
			}
		}
	}
}

// live returns the bytes that the last garbage collection left, with the stacks.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}
