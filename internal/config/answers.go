package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// Answer is what an external data provider says to a key.
type Answer struct {
	Value any
	Error string // if the provider refuses the key
}

// AnswersError says why a file of recorded answers cannot be read.
type AnswersError struct {
	report.Location
	Reason string
}

func (e *AnswersError) Error() string { return fmt.Sprintf("%s: %s", e.Location, e.Reason) }

// ReadAnswers reads the recorded answers of a provider: a YAML list of mappings with
// key and either value or error. Its error is an [*AnswersError].
func (*Config) ReadAnswers(t Tree, p Provider) (map[string]Answer, error) {
	at := func(line int, format string, args ...any) error {
		return &AnswersError{report.Location{File: p.Answers, Line: line}, fmt.Sprintf(format, args...)}
	}
	data, err := t.ReadFile(p.Answers)
	if err != nil {
		return nil, &AnswersError{p.Location, fmt.Sprintf("%s is no file of the repository", p.Answers)}
	}
	if len(data) > MaxSize {
		return nil, at(1, "the file has %d KiB; %d are the most that are read", len(data)>>10, MaxSize>>10)
	}
	return parseAnswers(data, at)
}

func parseAnswers(data []byte, at func(line int, format string, args ...any) error) (out map[string]Answer, err error) {
	// The parser has panicked on strange bytes before; that must not end the run.
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, at(1, "this is no YAML: the parser gave up: %v", p)
		}
	}()
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return map[string]Answer{}, nil
		}
		line, reason := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if rest, ok := strings.CutPrefix(reason, "line "); ok {
			if n, why, ok := strings.Cut(rest, ": "); ok {
				if i, aerr := strconv.Atoi(n); aerr == nil {
					line, reason = max(i, 1), why
				}
			}
		}
		return nil, at(line, "this is no YAML: %s", reason)
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		root = doc.Content[0]
	}
	if root.Kind != yaml.SequenceNode {
		return nil, at(max(root.Line, 1), "a list of mappings with key and value, or key and error, is expected")
	}
	out = map[string]Answer{}
	for _, n := range root.Content {
		if n.Kind != yaml.MappingNode {
			return nil, at(n.Line, "a mapping with key and value, or key and error, is expected")
		}
		var key string
		var a Answer
		said := 0
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			var err error
			switch name {
			case "key":
				err = value.Decode(&key)
			case "value":
				err, said = value.Decode(&a.Value), said+1
			case "error":
				err, said = value.Decode(&a.Error), said+1
			default:
				return nil, at(n.Content[i].Line, "there is no key %q here; known are key, value and error", cut(name))
			}
			if err != nil {
				return nil, at(value.Line, "%s is %s, which it cannot be", name, kindOf(value))
			}
		}
		if _, twice := out[key]; key == "" || said != 1 || twice {
			return nil, at(n.Line, "each answer has a key of its own and either a value or an error")
		}
		out[key] = a
	}
	return out, nil
}
