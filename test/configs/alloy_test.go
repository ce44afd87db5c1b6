package configs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/vm"
)

// The components that the blueprint uses, as far as it uses them: what Alloy 1.18 takes
// (https://grafana.com/docs/alloy/latest/reference/components/). The language is Alloy's
// own code; the components are part of a program that cannot be imported, so their
// arguments stand here. A new argument in a configuration needs a line here: look it up.
type (
	receiver struct{} // what lines are sent to
	target   = map[string]string

	discoveryKubernetes struct {
		Role           string `alloy:"role,attr"`
		Namespaces     *names `alloy:"namespaces,block,optional"`
		AttachMetadata *struct {
			Node      bool `alloy:"node,attr,optional"`
			Namespace bool `alloy:"namespace,attr,optional"`
		} `alloy:"attach_metadata,block,optional"`
	}
	names struct {
		OwnNamespace bool     `alloy:"own_namespace,attr,optional"`
		Names        []string `alloy:"names,attr,optional"`
	}
	discoveryRelabel struct {
		Targets []target `alloy:"targets,attr"`
		Rules   []rule   `alloy:"rule,block,optional"`
	}
	rule struct {
		SourceLabels []string   `alloy:"source_labels,attr,optional"`
		Separator    string     `alloy:"separator,attr,optional"`
		Regex        expression `alloy:"regex,attr,optional"`
		Modulus      uint64     `alloy:"modulus,attr,optional"`
		TargetLabel  string     `alloy:"target_label,attr,optional"`
		Replacement  string     `alloy:"replacement,attr,optional"`
		Action       action     `alloy:"action,attr,optional"`
	}
	sourceKubernetes struct {
		Targets   []target   `alloy:"targets,attr"`
		ForwardTo []receiver `alloy:"forward_to,attr"`
	}
	sourceEvents struct {
		ForwardTo  []receiver `alloy:"forward_to,attr"`
		JobName    string     `alloy:"job_name,attr,optional"`
		Namespaces []string   `alloy:"namespaces,attr,optional"`
		LogFormat  string     `alloy:"log_format,attr,optional"`
	}
	sourceFile struct {
		Targets     []target   `alloy:"targets,attr"`
		ForwardTo   []receiver `alloy:"forward_to,attr"`
		Encoding    string     `alloy:"encoding,attr,optional"`
		TailFromEnd bool       `alloy:"tail_from_end,attr,optional"`
	}
	process struct {
		ForwardTo []receiver `alloy:"forward_to,attr"`
		Stages    []stage    `alloy:"stage,enum,optional"`
	}
	stage struct {
		JSON *struct {
			Expressions   map[string]string `alloy:"expressions,attr,optional"`
			Regex         expression        `alloy:"regex,attr,optional"`
			Source        string            `alloy:"source,attr,optional"`
			DropMalformed bool              `alloy:"drop_malformed,attr,optional"`
		} `alloy:"json,block,optional"`
		Timestamp *struct {
			Source          string   `alloy:"source,attr"`
			Format          string   `alloy:"format,attr"`
			FallbackFormats []string `alloy:"fallback_formats,attr,optional"`
			Location        string   `alloy:"location,attr,optional"`
			ActionOnFailure string   `alloy:"action_on_failure,attr,optional"`
		} `alloy:"timestamp,block,optional"`
		Labels *struct {
			Values map[string]string `alloy:"values,attr"`
		} `alloy:"labels,block,optional"`
		LabelDrop *struct {
			Values []string `alloy:"values,attr"`
		} `alloy:"label_drop,block,optional"`
		StaticLabels *struct {
			Values map[string]string `alloy:"values,attr"`
		} `alloy:"static_labels,block,optional"`
		StructuredMetadata *struct {
			Values map[string]string `alloy:"values,attr,optional"`
			Regex  expression        `alloy:"regex,attr,optional"`
		} `alloy:"structured_metadata,block,optional"`
		Drop *struct {
			Source     string        `alloy:"source,attr,optional"`
			Value      string        `alloy:"value,attr,optional"`
			Expression expression    `alloy:"expression,attr,optional"`
			OlderThan  time.Duration `alloy:"older_than,attr,optional"`
			LongerThan string        `alloy:"longer_than,attr,optional"`
			Reason     string        `alloy:"drop_counter_reason,attr,optional"`
		} `alloy:"drop,block,optional"`
	}
	write struct {
		Endpoints []struct {
			URL             string            `alloy:"url,attr"`
			Name            string            `alloy:"name,attr,optional"`
			BatchWait       time.Duration     `alloy:"batch_wait,attr,optional"`
			BatchSize       string            `alloy:"batch_size,attr,optional"`
			RemoteTimeout   time.Duration     `alloy:"remote_timeout,attr,optional"`
			Headers         map[string]string `alloy:"headers,attr,optional"`
			TenantID        string            `alloy:"tenant_id,attr,optional"`
			RetryOnHTTP429  bool              `alloy:"retry_on_http_429,attr,optional"`
			MinBackoff      time.Duration     `alloy:"min_backoff_period,attr,optional"`
			MaxBackoff      time.Duration     `alloy:"max_backoff_period,attr,optional"`
			MaxBackoffTries int               `alloy:"max_backoff_retries,attr,optional"`
		} `alloy:"endpoint,block,optional"`
		ExternalLabels map[string]string `alloy:"external_labels,attr,optional"`
		MaxStreams     int               `alloy:"max_streams,attr,optional"`
	}
	logging struct {
		Level  string `alloy:"level,attr,optional"`
		Format string `alloy:"format,attr,optional"`
	}
)

// AlloyCapsule marks a value that the language only hands on.
func (receiver) AlloyCapsule() {}

// expression is a regular expression in RE2.
type expression string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *expression) UnmarshalText(text []byte) error {
	_, err := regexp.Compile(string(text))
	*e = expression(text)
	return err
}

// action is what a relabel rule does.
type action string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *action) UnmarshalText(text []byte) error {
	known := []string{"replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"}
	if !slices.Contains(known, string(text)) {
		return fmt.Errorf("unknown relabel action %q, want one of %s", text, strings.Join(known, ", "))
	}
	*a = action(text)
	return nil
}

// component is a kind of block: its arguments, and what others may refer to.
type component struct {
	arguments func() any
	exports   map[string]any // nil: a setting of the whole program, without label
}

var (
	receives = map[string]any{"receiver": receiver{}}
	known    = map[string]component{
		"discovery.kubernetes":          {func() any { return new(discoveryKubernetes) }, map[string]any{"targets": []target{}}},
		"discovery.relabel":             {func() any { return new(discoveryRelabel) }, map[string]any{"output": []target{}}},
		"loki.source.kubernetes":        {func() any { return new(sourceKubernetes) }, map[string]any{}},
		"loki.source.kubernetes_events": {func() any { return new(sourceEvents) }, map[string]any{}},
		"loki.source.file":              {func() any { return new(sourceFile) }, map[string]any{}},
		"loki.process":                  {func() any { return new(process) }, receives},
		"loki.write":                    {func() any { return new(write) }, receives},
		"logging":                       {func() any { return new(logging) }, nil},
	}
)

// alloy loads a configuration: it parses, its components are known, labelled once and
// have the arguments that they take, and what they refer to is there.
func alloy(name string, text []byte) error {
	file, err := parser.ParseFile(name, text)
	if err != nil {
		return err
	}
	var errs []error
	fail := func(b *ast.BlockStmt, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", ast.StartPos(b).Position(), fmt.Sprintf(format, args...)))
	}
	var blocks []*ast.BlockStmt
	seen := map[string]bool{}
	scope := map[string]any{}
	for _, s := range file.Body {
		b, ok := s.(*ast.BlockStmt)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: an attribute outside of a block", ast.StartPos(s).Position()))
			continue
		}
		kind := strings.Join(b.Name, ".")
		c, ok := known[kind]
		switch {
		case !ok:
			fail(b, "component %q is not among those that the blueprint uses: %s", kind, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			continue
		case c.exports != nil && b.Label == "":
			fail(b, "component %s has no label", kind)
		case seen[kind+b.Label]:
			fail(b, "%s %q is there twice", kind, b.Label)
		}
		seen[kind+b.Label] = true
		blocks = append(blocks, b)
		at := scope
		for _, part := range append(slices.Clone(b.Name), b.Label) {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		maps.Copy(at, c.exports)
	}
	for _, b := range blocks {
		if err := vm.New(b.Body).Evaluate(&vm.Scope{Variables: scope}, known[strings.Join(b.Name, ".")].arguments()); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func TestAlloy(t *testing.T) {
	n := 0
	for _, o := range objects(t) {
		text, ok := o.Object.Data["config.alloy"]
		if o.Object.Kind != "ConfigMap" || !ok {
			continue
		}
		n++
		t.Run(o.Object.Metadata.Name, func(t *testing.T) {
			if err := alloy("config.alloy", []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
	if n == 0 {
		t.Error("the blueprint renders no ConfigMap with config.alloy")
	}
}

func TestInvalidAlloy(t *testing.T) {
	for f, want := range invalid(t, ".alloy") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			wantFound(t, alloy(filepath.Base(f), text), want)
		})
	}
}
