package homelab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// Prompt asks a person.
type Prompt struct {
	In  io.Reader
	Out io.Writer
	// Suggest has what is known of the answers from elsewhere, such as the time zone of
	// this machine, by key.
	Suggest Values
	// Bold makes a heading stand out; nil: it does not.
	Bold func(text string) string
}

// Ask asks for every answer that is not there yet, and asks again when one is wrong. It
// ends with the context's error when that ends, and else only when the input does.
func (p *Prompt) Ask(ctx context.Context, a Answers) error {
	lines := p.lines(ctx)
	group := ""
	for i := range Questions {
		q := &Questions[i]
		if _, ok := a[q.Key]; ok {
			continue
		}
		if q.Key == "publicEmail" && a["publicName"].Value == "" {
			continue
		}
		if q.Group != group {
			group = q.Group
			heading := group
			if p.Bold != nil {
				heading = p.Bold(group)
			}
			fmt.Fprintf(p.Out, "\n%s\n", heading)
		}
		if err := p.ask(ctx, q, a, lines); err != nil {
			return err
		}
	}
	fmt.Fprintln(p.Out)
	return nil
}

// ask asks one question until the answer is right.
func (p *Prompt) ask(ctx context.Context, q *Question, a Answers, lines <-chan line) error {
	is := a.Values()
	suggestion := q.suggestion(is)
	if own := p.Suggest[q.Key]; own != "" && q.wrongWith(a, own) == "" {
		suggestion = own
	}
	if suggestion != "" && q.wrongWith(a, suggestion) != "" {
		suggestion = "" // such as an address that is not in the network
	}
	// Whoever gives a public name gives an e-mail too.
	optional := q.Optional && q.Key != "publicEmail"
	for {
		switch {
		case suggestion != "":
			fmt.Fprintf(p.Out, "  %s [%s]: ", q.Meaning, suggestion)
		case optional:
			fmt.Fprintf(p.Out, "  %s [none]: ", q.Meaning)
		default:
			fmt.Fprintf(p.Out, "  %s: ", q.Meaning)
		}
		var l line
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return ctx.Err()
		case l = <-lines:
		}
		value := strings.TrimSpace(l.text)
		if l.err != nil && value == "" {
			fmt.Fprintln(p.Out)
			if ctx.Err() != nil { // Ctrl-C ends the read too
				return ctx.Err()
			}
			if errors.Is(l.err, io.EOF) {
				return report.Misuse("lumacore init --sample-answers shows how to give answers in a file", "the input ended before all was answered; nothing was written")
			}
			return fmt.Errorf("read the answer: %w", l.err)
		}
		if value == "" {
			value = suggestion
		}
		if value == "" && optional {
			return nil
		}
		if value == "" {
			fmt.Fprintf(p.Out, "    an answer is needed, like %s\n", q.Example)
			continue
		}
		if why := q.wrongWith(a, value); why != "" {
			fmt.Fprintf(p.Out, "    %s\n", why)
			continue
		}
		a[q.Key] = Answer{Value: value}
		return nil
	}
}

// wrongWith says what would be wrong with an answer beside those that there are.
func (q *Question) wrongWith(a Answers, value string) string {
	if q.Key == "publicName" { // the e-mail is asked for next
		return q.wrong(value)
	}
	before := map[string]bool{}
	for _, m := range a.Check() {
		before[m.Message] = true
	}
	with := maps.Clone(a)
	with[q.Key] = Answer{Value: value}
	for _, m := range with.Check() {
		if !before[m.Message] {
			return m.Message
		}
	}
	return ""
}

// line is what was typed, or why nothing can be read any more.
type line struct {
	text string
	err  error
}

// lines reads lines as they come. The goroutine ends with the context, or, since a read
// from a terminal cannot be taken back, with the process.
func (p *Prompt) lines(ctx context.Context) <-chan line {
	out := make(chan line)
	go func() {
		r := bufio.NewReader(p.In)
		for {
			text, err := r.ReadString('\n')
			select {
			case out <- line{strings.TrimRight(text, "\r\n"), err}:
			case <-ctx.Done():
				return
			}
			// An end is not the last: what came before it without a line break is an
			// answer, and the next question must hear of the end too.
		}
	}()
	return out
}
