package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// falcoItem is one entry of a file of rules.
type falcoItem struct {
	Rule, Macro, List string
	Desc, Condition   string
	Output, Priority  string
	Items             []string
	Tags              []string
	Override          map[string]string
}

var ownName = regexp.MustCompile(`\blumacore_\w+`)

// falco looks at what can be seen of Falco's rules without Falco, which is a C++ program
// that cannot be had here: the form of the entries, and that our own lists and macros are
// defined before they are used. Fields and the macros of Falco's own rules are not checked.
func falco(data []byte) error {
	var items []falcoItem
	if err := yaml.UnmarshalStrict(data, &items); err != nil {
		return err
	}
	var errs []error
	defined := map[string]bool{}
	for _, it := range items {
		name := it.Rule + it.Macro + it.List
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
		}
		if it.Rule != "" {
			if priorities := []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "DEBUG"}; !slices.Contains(priorities, it.Priority) {
				fail("priority is %q, want one of %s", it.Priority, strings.Join(priorities, ", "))
			}
			if it.Desc == "" || it.Output == "" {
				fail("a rule needs desc and output")
			}
		}
		if it.List == "" && it.Condition == "" {
			fail("has no condition")
		}
		if strings.Count(it.Condition, "(") != strings.Count(it.Condition, ")") {
			fail("parentheses of the condition do not match")
		}
		for _, used := range ownName.FindAllString(it.Condition, -1) {
			if !defined[used] {
				fail("%s is not defined above", used)
			}
		}
		if defined[name] {
			fail("is there twice")
		}
		defined[name] = true
	}
	return errors.Join(errs...)
}

func TestFalco(t *testing.T) {
	for _, o := range objects(t) {
		if o.is("ConfigMap", "node-agents", "falco-lumacore-rules") {
			if err := falco([]byte(o.Object.Data["lumacore_rules.yaml"])); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("ConfigMap node-agents/falco-lumacore-rules is not rendered")
}

func TestInvalidFalco(t *testing.T) {
	for f, want := range invalid(t, ".falco.yaml") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			wantFound(t, falco(data), want)
		})
	}
}
