package render

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/envsubst"

	"lumacore.dev/lumacore/internal/gitops"
)

// variables are the values of ${NAME} in one Flux Kustomization.
type variables struct {
	values map[string]variable
	any    string // the Secret whose keys are not known: any variable may come from it
	always bool   // substitute also without any variable, for the defaults
}

type variable struct {
	value string
	from  string // for a stand-in: "SECRET_DOMAIN from Secret flux-system/cluster-secrets"
}

// name is what Flux takes for the name of a variable
// (https://github.com/fluxcd/pkg/blob/main/kustomize/kustomize_varsub.go).
var variableName = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)

// substituteLabel switches substitution off for one object, as label or annotation.
const substituteLabel = gitops.GroupKustomize + "/substitute"

// set adds a value. Flux drops newlines.
func (v *variables) set(name, value, from string) {
	v.values[name] = variable{strings.ReplaceAll(value, "\n", ""), from}
}

// active tells whether Flux would substitute at all.
func (v *variables) active() bool { return v != nil && (len(v.values) > 0 || v.any != "" || v.always) }

// mostUndefined bounds how many variables of one object are named as undefined: each
// takes one more pass over its text.
const mostUndefined = 20

// substitution is what substituting one text came to.
type substitution struct {
	text      string
	undefined []string // variables without value or default, sorted
	standIns  []string // where stand-ins came from, sorted
}

// substitute replaces the variables in the YAML of one object. A variable without
// value becomes empty, as in Flux without strict substitution; undefined names it.
// The error is that of a malformed expression or name.
func (v *variables) substitute(text string) (substitution, error) {
	var s substitution
	for name := range v.values {
		if !variableName.MatchString(name) {
			return s, fmt.Errorf("the name of variable %q is invalid: letters, digits and underscores, not a digit first", name)
		}
	}
	undefined := map[string]bool{}
	standIns := map[string]bool{}
	unknown := false
	lookup := func(name string) (string, bool) {
		if x, ok := v.values[name]; ok {
			if x.from != "" {
				standIns[x.from] = true
			}
			return x.value, true
		}
		if v.any != "" {
			standIns[name+" from "+v.any] = true
			return standIn(name), true
		}
		unknown = true
		return "", false
	}
	var err error
	s.text, err = envsubst.Eval(text, func(name string) (string, bool) {
		value, _ := lookup(name)
		return value, true // as Flux does unless it is strict: what is not set is empty
	})
	if err != nil {
		return s, err
	}
	// Which of those that are not set have no default? envsubst stops at the first;
	// it is the last one that it asked for. Note it, let it be empty, go on.
	for unknown && len(undefined) < mostUndefined {
		var last string
		_, err := envsubst.Eval(text, func(name string) (string, bool) {
			last = ""
			value, ok := lookup(name)
			if !ok && !undefined[name] {
				last = name
				return "", false
			}
			return value, true
		})
		if err == nil || last == "" {
			break
		}
		undefined[last] = true
	}
	for name := range undefined {
		s.undefined = append(s.undefined, name)
	}
	for from := range standIns {
		s.standIns = append(s.standIns, from)
	}
	slices.Sort(s.undefined)
	slices.Sort(s.standIns)
	return s, nil
}

// inline adds the variables of spec.postBuild.substitute, which win over those of
// ConfigMaps and Secrets.
func (v *variables) inline(p *kustomizev1.PostBuild) {
	for name, value := range p.Substitute {
		v.set(name, value, "")
	}
}

// HasStandIn tells whether a value of an object holds a stand-in for a secret one,
// as text, as base64, or as the number that it was read as. What is wrong with such
// a value may be right with the real one; only objects with Origin.Placeholders can
// have one.
func HasStandIn(v any) bool {
	switch v := v.(type) {
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); err == nil && strings.Contains(string(b), standInWord) {
			return true
		}
		return strings.Contains(v, standInWord) ||
			slices.ContainsFunc(standIns, func(s string) bool { return strings.Contains(v, s) })
	case int64:
		return strconv.FormatInt(v, 10) == standInPort
	case map[string]any:
		for _, x := range v {
			if HasStandIn(x) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, HasStandIn)
	}
	return false
}

// The marks of what standIn returns.
const (
	standInWord = "placeholder"
	standInPort = "65000"
)

var standIns = []string{"192.0.2.", standInPort, "Etc/UTC"}

// standIn returns what stands in for a secret value of a name. Its form follows
// the name where the name tells what is expected, so that a hostname stays one;
// all but the addresses contain the word "placeholder". Addresses are of the
// ranges for documentation (RFC 5737, RFC 2606).
func standIn(name string) string {
	n := strings.ToUpper(name)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(n, w) })
	}
	switch {
	case has("EMAIL", "E_MAIL", "MAIL_FROM"):
		return "placeholder@placeholder.example"
	case has("CIDR", "SUBNET", "NETWORK_RANGE"):
		return "192.0.2.0/24"
	case has("_URL", "URI") || n == "URL":
		return "https://placeholder.example"
	case has("DOMAIN", "HOSTNAME", "_HOST", "FQDN"):
		return "placeholder.example"
	case strings.HasSuffix(n, "_IP") || has("_ADDR", "IP_ADDRESS", "_IPV4", "LOADBALANCER_IP"):
		return "192.0.2.1"
	case strings.HasSuffix(n, "_PORT") || n == "PORT":
		return standInPort
	case has("TIMEZONE") || n == "TZ":
		return "Etc/UTC"
	}
	return "placeholder"
}
