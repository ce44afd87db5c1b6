package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema compiles the JSON schema of a chart's values, once per content. Schemas
// that it refers to by http or https are downloaded and kept as charts are; one
// that cannot be had is [*Unavailable]. As in Helm, a reference by urn: allows
// everything.
func (s *Store) Schema(ctx context.Context, data []byte) (*jsonschema.Schema, error) {
	type request struct{ schema string }
	return once(ctx, s, request{sum(data)}, func(ctx context.Context) (c *jsonschema.Schema, err error) {
		defer func() {
			if r := recover(); r != nil {
				c, err = nil, fmt.Errorf("the schema cannot be read: %v", r)
			}
		}()
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		const at = "file:///values.schema.json"
		l := &schemaLoader{ctx: ctx, s: s}
		compiler := jsonschema.NewCompiler()
		compiler.UseLoader(l)
		if err := compiler.AddResource(at, doc); err != nil {
			return nil, err
		}
		c, err = compiler.Compile(at)
		if err != nil && l.err != nil {
			return nil, l.err
		}
		return c, err
	})
}

// schemaLoader loads the schemas that a schema refers to.
type schemaLoader struct {
	ctx context.Context
	s   *Store
	err error // why one could not be had
}

func (l *schemaLoader) Load(at string) (any, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "urn":
		return true, nil
	case "http", "https":
	default:
		return nil, fmt.Errorf("%s is not part of the chart", redact(at))
	}
	data, err := l.s.document(l.ctx, at, u.Host)
	if err != nil {
		l.err = err
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

// document downloads a file that a chart refers to.
func (s *Store) document(ctx context.Context, at, host string) ([]byte, error) {
	type request struct{ document string }
	return once(ctx, s, request{at}, func(ctx context.Context) ([]byte, error) {
		title, ref := "schema "+redact(at), "document "+at
		if s.offline {
			if _, data, ok := s.cache.lookup(ref); ok {
				return data, nil
			}
			return nil, notCached(title)
		}
		var data []byte
		err := s.download(ctx, title, host, func(ctx context.Context) (err error) {
			data, err = s.get(ctx, at, maxFileSize)
			return err
		})
		if err != nil {
			return nil, err
		}
		return data, s.keep(title, ref, "", data)
	})
}

// Violations lists what a validation found, sorted, without the validator's
// heading.
func Violations(err error) []string {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return []string{err.Error()}
	}
	var out []string
	for line := range strings.Lines(v.Error()) {
		if line, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
			out = append(out, line)
		}
	}
	slices.Sort(out) // the validator ranges over maps
	return slices.Compact(out)
}
