package dryrun

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// The API server's words, which have been the same for many versions. Each is from
// where it is made:
var (
	// k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go
	notAllowed = regexp.MustCompile(`User "[^"]*" cannot ([a-z]+) resource "([^"]*)"`)
	// pkg/registry/rbac/validation/policy_compact.go, pkg/registry/rbac/escalation_check.go
	escalates = regexp.MustCompile(`is attempting to grant RBAC permissions not currently held`)
	// k8s.io/apiserver/pkg/admission/plugin/webhook/errors
	webhookFailed = regexp.MustCompile(`failed calling webhook "([^"]*)"|conversion webhook for ([^ ]+) failed|webhook "?([^" ]*)"? does not support dry ?run`)
	// plugin/pkg/admission/{serviceaccount,priority,runtimeclass}/admission.go
	lookedUp = regexp.MustCompile(`error looking up service account|no PriorityClass with name|RuntimeClass "[^"]*" not found`)
	// Validation of updates, of Kubernetes' kinds and, by habit, of CRDs.
	immutable = regexp.MustCompile(`(?i)\bimmutable\b|updates to .* are forbidden|may not change once set|may not be (changed|updated|modified)|cannot be (changed|updated|modified)|can ?not be decreased|field can not be less than`)
	// sigs.k8s.io/structured-merge-diff: ".spec.a: field not declared in schema", one
	// after "failed to create typed patch object (…):", several on a line each.
	typed = regexp.MustCompile(`(?m)(?:\): |^\s*)(\.[^\s:]+): (.*)$`)
	// A warning begins with the field if it is about one.
	warnedField = regexp.MustCompile(`^([a-z][A-Za-z0-9]*(?:[.\[][^\s:]*)?): `)
	// k8s.io/pod-security-admission/admission
	podSecurity = regexp.MustCompile(`^would violate PodSecurity "`)
	// pkg/registry/core/service/ipallocator
	ownRange = regexp.MustCompile(`not in the valid range|does not match the current range|not in the cluster IP range`)
)

// internalNames are fields that the API server names in another way than they are.
var internalNames = strings.NewReplacer(
	"spec.template.labels", "spec.template.metadata.labels",
	"spec.template.annotations", "spec.template.metadata.annotations",
	"spec.resources[storage]", "spec.resources.requests.storage",
	"spec.validation.openAPIV3Schema", "spec.versions[0].schema.openAPIV3Schema",
)

// mostFields are the fields of one object that are reported one by one.
const mostFields = 10

// judge reports what the server answered. The error is a failure of the way to it.
func (j *job) judge(o *render.Object, at resource, warnings []string, err error) error {
	for _, w := range warnings {
		j.warned(o, w)
	}
	if err == nil {
		return nil
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return err
	}
	st := status.Status()
	message := st.Message
	switch {
	case st.Reason == metav1.StatusReasonAlreadyExists: // then it is fine but for that
	case st.Code == http.StatusForbidden && notAllowed.MatchString(message):
		m := notAllowed.FindStringSubmatch(message)
		j.note(o, fmt.Sprintf("the user of the kubeconfig may not %s %s there", m[1], m[2]),
			fmt.Sprintf("give it the verbs create and patch on %s; a dry run needs the rights of the real thing", at.name))
	case st.Code == http.StatusForbidden && escalates.MatchString(message) && !j.in.Throwaway:
		j.note(o, "the user of the kubeconfig may not grant what it grants", "check with a user who has these rights, or the verb escalate or bind")
	case webhookFailed.MatchString(message):
		m := webhookFailed.FindStringSubmatch(message)
		j.note(o, fmt.Sprintf("a webhook did not try it: %s", bounded(strings.TrimPrefix(message, "Internal error occurred: "))),
			fmt.Sprintf("see that %s answers, and that it declares sideEffects: None", strings.Join(slices.DeleteFunc(m[1:], func(s string) bool { return s == "" }), "")))
	case st.Code == http.StatusServiceUnavailable, st.Code == http.StatusGatewayTimeout,
		st.Reason == metav1.StatusReasonTimeout, st.Reason == metav1.StatusReasonServerTimeout, st.Reason == metav1.StatusReasonConflict:
		j.note(o, "the API server could not try it: "+bounded(message), "check again")
	case st.Reason == metav1.StatusReasonInternalError && !j.in.Throwaway:
		j.note(o, "the API server has an error of its own: "+bounded(message), "look at the log of the API server")
	case st.Reason == metav1.StatusReasonNotFound && st.Details != nil && st.Details.Kind == "namespaces" && j.namespaces[st.Details.Name]:
		j.note(o, fmt.Sprintf("the cluster does not have the namespace %s yet: the render makes it", st.Details.Name), "check again once that is applied, or with --dry-run=lab")
	case j.in.Throwaway && lookedUp.MatchString(message) && !j.whole():
		j.note(o, "what it names may be made by what was not rendered: "+bounded(message), "have all Kustomizations and charts rendered")
	default:
		j.refuse(o, st)
	}
	return nil
}

// ownAddress tells whether a Service is refused for an address that it asks for and that
// is not among those of the server.
func ownAddress(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil {
		return false
	}
	return slices.ContainsFunc(status.ErrStatus.Details.Causes, func(c metav1.StatusCause) bool {
		return strings.HasPrefix(c.Field, "spec.clusterIP") && ownRange.MatchString(c.Message)
	})
}

// refuse reports a refusal, field by field where the server names fields.
func (j *job) refuse(o *render.Object, st metav1.Status) {
	type complaint struct {
		at            []any
		field, detail string
	}
	var all []complaint
	if st.Details != nil {
		for _, c := range st.Details.Causes {
			if c.Field == "" || c.Field == "<nil>" {
				continue
			}
			at := fieldpath.Parse(internalNames.Replace(c.Field), o.Object)
			all = append(all, complaint{at, c.Field, c.Message})
		}
	}
	if len(all) == 0 {
		for _, m := range typed.FindAllStringSubmatch(st.Message, -1) {
			at := fieldpath.Parse(m[1], o.Object)
			all = append(all, complaint{at, strings.TrimPrefix(m[1], "."), m[2]})
		}
	}
	if len(all) == 0 {
		all = []complaint{{nil, "", st.Message}}
	}
	for i, c := range all {
		if i == mostFields {
			j.find(ruleRefused, o, nil, "", "the API server refuses %d more fields of it", len(all)-i)
			return
		}
		text := c.detail
		if c.field != "" {
			text = c.field + ": " + text
		}
		text = j.clean(o, text)
		if len(o.Origin.Placeholders) > 0 && standsIn(o, c.at) {
			j.out.Unchecked(report.Unchecked{
				Subject: o.Key().String(), Location: o.Locate(c.at...), Clusters: []string{j.cluster.Name},
				Reason: fmt.Sprintf("refused with a value that stands in for a secret that only the cluster has (%s): %s", strings.Join(o.Origin.Placeholders, "; "), text),
				Next:   "look at the value in the cluster",
			})
			continue
		}
		switch {
		case !j.in.Throwaway && immutable.MatchString(c.detail):
			j.immutable(o, c.at, text)
		default:
			j.find(ruleRefused, o, c.at, "", "the API server refuses it: %s", text)
		}
	}
}

// immutable reports a change of what cannot change. Flux deletes and makes anew what it
// is told to (https://fluxcd.io/flux/components/kustomize/kustomizations/#force).
func (j *job) immutable(o *render.Object, at []any, text string) {
	k := j.kustomizations[o.Origin.Kustomization]
	forced := o.GetAnnotations()["kustomize.toolkit.fluxcd.io/force"] == "enabled" || k != nil && k.Spec.Spec.Force
	if o.Origin.HelmRelease != "" || !forced {
		j.find(ruleImmutable, o, at, "", "the API server refuses the change: %s", text)
		return
	}
	f := check.Finding(ruleImmutable, j.cluster, o, at, "Flux will delete the object in the cluster and make it anew, as it is told to by force: %s", text)
	f.Severity, f.Fix = report.Warning, "See that nothing is lost with the object: volumes, addresses, requests under way. Or change the field back."
	j.add(f, o)
}

// warned reports a warning. What Pod Security warns of is known to gate podsecurity,
// from the same labels, with the register of exemptions.
func (j *job) warned(o *render.Object, text string) {
	if j.in.Throwaway && podSecurity.MatchString(text) {
		return
	}
	var at []any
	if m := warnedField.FindStringSubmatch(text); m != nil {
		at = fieldpath.Parse(internalNames.Replace(m[1]), o.Object)
		if len(o.Origin.Placeholders) > 0 && standsIn(o, at) {
			return
		}
	}
	j.find(ruleWarned, o, at, "", "the API server warns: %s", j.clean(o, text))
}

// find reports a finding about an object, once.
func (j *job) find(rule string, o *render.Object, at []any, fix, format string, args ...any) {
	f := check.Finding(rule, j.cluster, o, at, format, args...)
	f.Fix = fix
	j.add(f, o)
}

func (j *job) add(f report.Finding, o *render.Object) {
	if from := j.catalogue[o.GroupKind()]; from != "" && f.Rule == ruleRefused {
		f.Severity = report.Warning // the cluster may run another version of it
		f.Message += " (CRD of " + from + ")"
	}
	j.mu.Lock()
	key := strings.Join([]string{f.Rule, f.Object, f.Kustomization, f.HelmRelease, f.Location.String(), f.Message}, "\x00")
	again := j.said[key]
	j.said[key] = true
	j.mu.Unlock()
	if !again {
		j.out.Add(f)
	}
}

// standsIn tells whether the value that a complaint is about, or may be about, holds a
// stand-in for a secret.
func standsIn(o *render.Object, at []any) bool {
	var v any = o.Object
	for i := range at {
		next := fieldpath.At(v, at[i:i+1])
		if next == nil {
			break
		}
		v = next
	}
	return render.HasStandIn(v)
}

// clean makes the server's words fit to be shown: in one line, of bounded length, and
// without the values of a Secret.
func (j *job) clean(o *render.Object, text string) string {
	if o.Is("", "Secret") {
		text = quoted.ReplaceAllString(valued.ReplaceAllString(text, "Value:…}"), `"…"`)
	}
	return bounded(text)
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
	valued = regexp.MustCompile(`Value:[^}]*\}?`)
)

// bounded is a text in one line, and not longer than a person reads.
func bounded(text string) string {
	const most = 600
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	cut := most
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// value returns the value at a path.
func value(obj any, path ...any) any { return fieldpath.At(obj, path) }
