package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine may have no time zones

	"github.com/robfig/cron/v3"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/render"
)

// The rules of the API server's code for Kubernetes' own objects, as far as they
// are certain (https://github.com/kubernetes/kubernetes/tree/v1.36.3/pkg/apis, the
// packages validation). They see objects as the API server's code does: decoded,
// so an object that does not decode is left to the walker, which has reported why.

// decode reads a part of an object into its Go type.
func decode[T any](v any) (*T, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	t := new(T)
	return t, runtime.DefaultUnstructuredConverter.FromUnstructured(m, t) == nil
}

// workload holds a workload's selector, replicas and strategy against the rules.
func (p *problems) workload(o *render.Object) {
	spec := []any{"spec"}
	switch {
	case o.Is("apps", "Deployment"):
		d, ok := decode[appsv1.Deployment](o.Object)
		if !ok {
			return
		}
		p.selector(d.Spec.Selector, d.Spec.Template.Labels, "deployment")
		p.notNegative(join(spec, "replicas"), d.Spec.Replicas)
		p.notNegative(join(spec, "revisionHistoryLimit"), d.Spec.RevisionHistoryLimit)
		p.notNegative(join(spec, "minReadySeconds"), &d.Spec.MinReadySeconds)
		if s := d.Spec.ProgressDeadlineSeconds; s != nil && *s <= d.Spec.MinReadySeconds {
			p.invalid(join(spec, "progressDeadlineSeconds"), int64(*s), "must be greater than minReadySeconds")
		}
		at := join(spec, "strategy", "rollingUpdate")
		rolling := d.Spec.Strategy.RollingUpdate
		switch {
		case rolling == nil:
		case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
			p.add(ruleValue, at, nil, "Forbidden: may not be specified when strategy `type` is 'Recreate'")
		default:
			p.share(join(at, "maxUnavailable"), rolling.MaxUnavailable, true)
			p.share(join(at, "maxSurge"), rolling.MaxSurge, false)
			if none(rolling.MaxUnavailable) && none(rolling.MaxSurge) {
				p.invalid(join(at, "maxUnavailable"), rolling.MaxUnavailable, "may not be 0 when `maxSurge` is 0")
			}
		}
		p.always(d.Spec.Template.Spec)
	case o.Is("apps", "ReplicaSet"):
		if r, ok := decode[appsv1.ReplicaSet](o.Object); ok {
			p.selector(r.Spec.Selector, r.Spec.Template.Labels, "replicaset")
			p.notNegative(join(spec, "replicas"), r.Spec.Replicas)
			p.always(r.Spec.Template.Spec)
		}
	case o.Is("apps", "DaemonSet"):
		if d, ok := decode[appsv1.DaemonSet](o.Object); ok {
			p.selector(d.Spec.Selector, d.Spec.Template.Labels, "daemonset")
			p.notNegative(join(spec, "revisionHistoryLimit"), d.Spec.RevisionHistoryLimit)
			p.always(d.Spec.Template.Spec)
		}
	case o.Is("apps", "StatefulSet"):
		s, ok := decode[appsv1.StatefulSet](o.Object)
		if !ok {
			return
		}
		p.selector(s.Spec.Selector, s.Spec.Template.Labels, "statefulset")
		p.notNegative(join(spec, "replicas"), s.Spec.Replicas)
		if u := s.Spec.UpdateStrategy; u.Type == appsv1.OnDeleteStatefulSetStrategyType && u.RollingUpdate != nil {
			p.invalid(join(spec, "updateStrategy", "rollingUpdate"), u.RollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")
		}
		for i, c := range s.Spec.VolumeClaimTemplates {
			p.claim(join(spec, "volumeClaimTemplates", i, "spec"), c.Spec)
		}
		p.always(s.Spec.Template.Spec)
	case o.Is("", "ReplicationController"):
		// Its selector is by default the template's labels.
		if r, ok := decode[corev1.ReplicationController](o.Object); ok {
			switch t := r.Spec.Template; {
			case t == nil:
				p.required(join(spec, "template"), "")
			case len(r.Spec.Selector)+len(t.Labels) == 0:
				p.required(join(spec, "selector"), "")
			case len(r.Spec.Selector) > 0:
				p.selector(&metav1.LabelSelector{MatchLabels: r.Spec.Selector}, t.Labels, "replicationcontroller")
			}
		}
	case o.Is("batch", "Job"):
		if j, ok := decode[batchv1.Job](o.Object); ok {
			p.job(spec, j.Spec)
		}
	case o.Is("batch", "CronJob"):
		if c, ok := decode[batchv1.CronJob](o.Object); ok {
			if len(c.Name) > 52 { // the controller appends 11 characters
				p.add(ruleName, []any{"metadata", "name"}, c.Name, "Invalid value: %q: must be no more than 52 characters", c.Name)
			}
			p.schedule(join(spec, "schedule"), c.Spec.Schedule)
			p.timeZone(join(spec, "timeZone"), c.Spec.TimeZone)
			p.notNegative(join(spec, "successfulJobsHistoryLimit"), c.Spec.SuccessfulJobsHistoryLimit)
			p.notNegative(join(spec, "failedJobsHistoryLimit"), c.Spec.FailedJobsHistoryLimit)
			p.job(join(spec, "jobTemplate", "spec"), c.Spec.JobTemplate.Spec)
		}
	}
}

// selector holds a workload's selector against its pods' labels.
func (p *problems) selector(s *metav1.LabelSelector, podLabels map[string]string, kind string) {
	if s == nil {
		return // required; reported
	}
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		p.add(ruleSelector, []any{"spec", "selector"}, nil, "Invalid value: {}: empty selector is invalid for %s", kind)
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return // reported
	}
	if !selector.Matches(labels.Set(podLabels)) {
		p.add(ruleSelector, []any{"spec", "template", "metadata", "labels"}, nil, "Invalid value: %s: `selector` does not match template `labels`: it asks for %s", literal(podLabels), selector)
	}
}

// always: these workloads restart their pods for ever.
func (p *problems) always(spec corev1.PodSpec) {
	at := []any{"spec", "template", "spec"}
	if r := spec.RestartPolicy; r == corev1.RestartPolicyNever || r == corev1.RestartPolicyOnFailure {
		p.unsupported(join(at, "restartPolicy"), string(r), []string{"Always"})
	}
	if spec.ActiveDeadlineSeconds != nil {
		p.add(ruleValue, join(at, "activeDeadlineSeconds"), nil, "Forbidden: only a Job or a Pod may have it")
	}
}

func (p *problems) job(at []any, spec batchv1.JobSpec) {
	p.notNegative(join(at, "parallelism"), spec.Parallelism)
	p.notNegative(join(at, "completions"), spec.Completions)
	p.notNegative(join(at, "backoffLimit"), spec.BackoffLimit)
	p.notNegative(join(at, "ttlSecondsAfterFinished"), spec.TTLSecondsAfterFinished)
	if r := spec.Template.Spec.RestartPolicy; r == "" || r == corev1.RestartPolicyAlways {
		p.required(join(at, "template", "spec", "restartPolicy"), `valid values: "OnFailure", "Never"`)
	}
}

// schedule holds the schedule of a CronJob against its syntax.
func (p *problems) schedule(at []any, schedule string) {
	switch {
	case schedule == "": // required; reported
	case strings.Contains(schedule, "TZ"):
		p.invalid(at, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
	default:
		if _, err := cron.ParseStandard(schedule); err != nil {
			p.invalid(at, schedule, "%v", err)
		}
	}
}

// timeZone holds a time zone against the IANA's, which are part of the program.
func (p *problems) timeZone(at []any, zone *string) {
	switch {
	case zone == nil:
	case *zone == "":
		p.invalid(at, *zone, "must be nil or non-empty string")
	case strings.EqualFold(*zone, "Local"):
		p.invalid(at, *zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
	default:
		if _, err := time.LoadLocation(*zone); err != nil {
			p.invalid(at, *zone, "unknown time zone %s", shorten(*zone))
		}
	}
}

func (p *problems) notNegative(at []any, n *int32) {
	if n != nil && *n < 0 {
		p.invalid(at, int64(*n), "must be greater than or equal to 0")
	}
}

// share holds a number or a percentage against the rules for them.
func (p *problems) share(at []any, v *intstr.IntOrString, most100 bool) {
	if v == nil {
		return
	}
	if v.Type == intstr.Int {
		if v.IntVal < 0 {
			p.invalid(at, int64(v.IntVal), "must be greater than or equal to 0")
		}
		return
	}
	for _, why := range validation.IsValidPercent(v.StrVal) {
		p.invalid(at, v.StrVal, "%s", why)
		return
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%")); err == nil && n > 100 && most100 {
		p.invalid(at, v.StrVal, "must not be greater than 100%%")
	}
}

// none tells whether it is 0 or 0%; absent it is 25%.
func none(v *intstr.IntOrString) bool {
	return v != nil && (v.Type == intstr.Int && v.IntVal == 0 || v.Type == intstr.String && v.StrVal == "0%")
}

// template holds the pods that an object makes against the rules.
func (p *problems) template(o *render.Object) {
	if pods, ok := o.Pods(); ok {
		p.pods(o, pods)
		return
	}
	at := []any{"spec", "template"}
	switch {
	case o.Is("apps", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), o.Is("batch", "Job"), o.Is("", "ReplicationController"):
	case o.Is("batch", "CronJob"):
		at = []any{"spec", "jobTemplate", "spec", "template"}
	default:
		return
	}
	// A template without a spec is one with an empty spec.
	if t, ok := at0(o.Object, at...).(map[string]any); ok && t["spec"] == nil {
		p.required(join(at, "spec", "containers"), "")
	}
}

// pods holds a pod, or a template of one, against the rules. What a StatefulSet
// mounts may also come from its volumeClaimTemplates.
func (p *problems) pods(o *render.Object, pods render.Pods) {
	at := join(pods.Path, "spec")
	if len(pods.Path) > 0 {
		p.labels(pods.Metadata["labels"], join(pods.Path, "metadata", "labels"))
		p.annotations(pods.Metadata["annotations"], join(pods.Path, "metadata", "annotations"))
	}
	spec, ok := decode[corev1.PodSpec](pods.Spec)
	if !ok {
		return
	}
	volumes := map[string]bool{}
	for i, v := range spec.Volumes {
		volumes[v.Name] = true
		here := join(at, "volumes", i)
		for _, why := range labelErrors(v.Name) {
			p.invalid(join(here, "name"), v.Name, "%s", why)
		}
		if v.Secret != nil && v.Secret.SecretName == "" {
			p.required(join(here, "secret", "secretName"), "")
		}
		if v.ConfigMap != nil && v.ConfigMap.Name == "" {
			p.required(join(here, "configMap", "name"), "")
		}
		raw, _ := at0(pods.Spec, "volumes", i).(map[string]any)
		var sources []string
		for _, k := range sorted(raw) {
			if k != "name" && raw[k] != nil {
				sources = append(sources, k)
			}
		}
		if len(sources) > 1 {
			p.add(ruleValue, join(here, sources[1]), nil, "Forbidden: may not specify more than 1 volume type; %s are here", strings.Join(sources, " and "))
		}
	}
	if o.Is("apps", "StatefulSet") {
		templates, _ := at0(o.Object, "spec", "volumeClaimTemplates").([]any)
		for i := range templates {
			if name, ok := at0(o.Object, "spec", "volumeClaimTemplates", i, "metadata", "name").(string); ok {
				volumes[name] = true
			}
		}
	}
	names := map[string]string{}
	for i, c := range spec.Containers {
		names[c.Name] = fmt.Sprintf("containers[%d]", i)
		p.container(join(at, "containers", i), c, volumes, spec.HostNetwork)
	}
	for i, c := range spec.InitContainers {
		here := join(at, "initContainers", i)
		if other := names[c.Name]; other != "" && c.Name != "" {
			p.add(ruleDuplicate, join(here, "name"), c.Name, "Duplicate value: %q: %s has the same name", c.Name, other)
		}
		p.container(here, c, volumes, spec.HostNetwork)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"lifecycle", c.Lifecycle != nil},
			{"livenessProbe", c.LivenessProbe != nil},
			{"readinessProbe", c.ReadinessProbe != nil},
			{"startupProbe", c.StartupProbe != nil},
		} {
			if f.set {
				p.add(ruleValue, join(here, f.name), nil, "Forbidden: may not be set for init containers without restartPolicy=Always")
			}
		}
	}
	for i, t := range spec.Tolerations {
		here := join(at, "tolerations", i)
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			p.invalid(join(here, "operator"), string(t.Operator), "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
		}
		if t.Operator == corev1.TolerationOpExists && t.Value != "" {
			p.invalid(join(here, "operator"), t.Value, "value must be empty when `operator` is 'Exists'")
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			p.invalid(join(here, "effect"), string(t.Effect), "effect must be 'NoExecute' when `tolerationSeconds` is set")
		}
	}
	p.labels(pods.Spec["nodeSelector"], join(at, "nodeSelector"))
	if spec.ServiceAccountName != "" {
		for _, why := range validation.IsDNS1123Subdomain(spec.ServiceAccountName) {
			p.invalid(join(at, "serviceAccountName"), spec.ServiceAccountName, "%s", why)
		}
	}
	if s := spec.ActiveDeadlineSeconds; s != nil && *s < 1 {
		p.invalid(join(at, "activeDeadlineSeconds"), *s, "must be between 1 and 2147483647, inclusive")
	}
}

// container holds a container against the rules.
func (p *problems) container(at []any, c corev1.Container, volumes map[string]bool, hostNetwork bool) {
	for _, why := range labelErrors(c.Name) {
		p.invalid(join(at, "name"), c.Name, "%s", why)
	}
	if c.Image == "" {
		p.required(join(at, "image"), "")
	}
	names := map[string]bool{}
	for i, port := range c.Ports {
		here := join(at, "ports", i)
		if port.Name != "" {
			if why := validation.IsValidPortName(port.Name); len(why) > 0 {
				p.invalid(join(here, "name"), port.Name, "%s", why[0])
			} else if names[port.Name] {
				p.add(ruleDuplicate, join(here, "name"), port.Name, "Duplicate value: %q", port.Name)
			}
			names[port.Name] = true
		}
		p.port(join(here, "containerPort"), port.ContainerPort)
		p.port(join(here, "hostPort"), port.HostPort)
		if hostNetwork && port.HostPort != 0 && port.HostPort != port.ContainerPort {
			p.invalid(join(here, "hostPort"), int64(port.HostPort), "must match `containerPort` when `hostNetwork` is true")
		}
	}
	for i, e := range c.Env {
		here := join(at, "env", i)
		if e.Name != "" {
			for _, why := range validation.IsRelaxedEnvVarName(e.Name) {
				p.invalid(join(here, "name"), e.Name, "%s", why)
			}
		}
		f := e.ValueFrom
		if f == nil {
			continue
		}
		if r := f.FieldRef; r != nil && r.FieldPath != "" && !envField.MatchString(r.FieldPath) {
			p.invalid(join(here, "valueFrom", "fieldRef", "fieldPath"), r.FieldPath, "no field of the pod that a variable can have (https://kubernetes.io/docs/concepts/workloads/pods/downward-api/)")
		}
		sources := count(f.FieldRef != nil, f.ResourceFieldRef != nil, f.ConfigMapKeyRef != nil, f.SecretKeyRef != nil, f.FileKeyRef != nil)
		if r := f.SecretKeyRef; r != nil && r.Name == "" {
			p.required(join(here, "valueFrom", "secretKeyRef", "name"), "")
		}
		if r := f.ConfigMapKeyRef; r != nil && r.Name == "" {
			p.required(join(here, "valueFrom", "configMapKeyRef", "name"), "")
		}
		switch {
		case sources == 0:
			p.invalid(join(here, "valueFrom"), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
		case e.Value != "":
			p.invalid(join(here, "valueFrom"), "", "may not be specified when `value` is not empty")
		case sources > 1:
			p.invalid(join(here, "valueFrom"), "", "may not have more than one field specified at a time")
		}
	}
	for i, e := range c.EnvFrom {
		switch count(e.ConfigMapRef != nil, e.SecretRef != nil) {
		case 0:
			p.invalid(join(at, "envFrom", i), "", "must specify one of: `configMapRef` or `secretRef`")
		case 2:
			p.invalid(join(at, "envFrom", i), "", "may not have more than one field specified at a time")
		}
	}
	mounted := map[string]bool{}
	for i, m := range c.VolumeMounts {
		here := join(at, "volumeMounts", i)
		if m.Name != "" && !volumes[m.Name] {
			p.add(ruleVolume, join(here, "name"), m.Name, "Not found: %q: the pod has no volume of this name%s", m.Name, oneOf(volumes))
		}
		if m.SubPath != "" && m.SubPathExpr != "" {
			p.invalid(join(here, "subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
		}
		mounted[m.MountPath] = true // twice the same is reported as a duplicate
	}
	for i, d := range c.VolumeDevices {
		here := join(at, "volumeDevices", i)
		if d.Name != "" && !volumes[d.Name] {
			p.add(ruleVolume, join(here, "name"), d.Name, "Not found: %q: the pod has no volume of this name%s", d.Name, oneOf(volumes))
		}
		if mounted[d.DevicePath] {
			p.invalid(join(here, "devicePath"), d.DevicePath, "must not already exist as a path in volumeMounts")
		}
	}
	p.resources(join(at, "resources"), c.Resources)
	p.probe(join(at, "livenessProbe"), c.LivenessProbe, true)
	p.probe(join(at, "readinessProbe"), c.ReadinessProbe, false)
	p.probe(join(at, "startupProbe"), c.StartupProbe, true)
	if s := c.SecurityContext; s != nil {
		here := join(at, "securityContext")
		if s.Privileged != nil && *s.Privileged && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
			p.add(ruleValue, join(here, "allowPrivilegeEscalation"), nil, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
		}
	}
}

func (p *problems) probe(at []any, probe *corev1.Probe, once bool) {
	if probe == nil {
		return
	}
	h := probe.ProbeHandler
	switch count(h.Exec != nil, h.HTTPGet != nil, h.TCPSocket != nil, h.GRPC != nil) {
	case 0:
		p.required(at, "must specify a handler type")
	case 1:
	default:
		p.add(ruleValue, at, nil, "Forbidden: may not specify more than 1 handler type")
	}
	if h.Exec != nil && len(h.Exec.Command) == 0 {
		p.required(join(at, "exec", "command"), "")
	}
	if h.HTTPGet != nil {
		p.portOrName(join(at, "httpGet", "port"), h.HTTPGet.Port)
	}
	if h.TCPSocket != nil {
		p.portOrName(join(at, "tcpSocket", "port"), h.TCPSocket.Port)
	}
	if h.GRPC != nil {
		p.port(join(at, "grpc", "port"), h.GRPC.Port)
	}
	if once && probe.SuccessThreshold != 0 && probe.SuccessThreshold != 1 {
		p.invalid(join(at, "successThreshold"), int64(probe.SuccessThreshold), "must be 1")
	}
	for _, n := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", probe.InitialDelaySeconds},
		{"timeoutSeconds", probe.TimeoutSeconds},
		{"periodSeconds", probe.PeriodSeconds},
		{"failureThreshold", probe.FailureThreshold},
	} {
		p.notNegative(join(at, n.name), &n.value)
	}
}

// envField are the fields of a pod that an environment variable can have.
var envField = regexp.MustCompile(`^(metadata\.(name|namespace|uid|(labels|annotations)\['.+'\])|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$`)

// resources: requests may not be more than limits, nothing less than zero.
func (p *problems) resources(at []any, r corev1.ResourceRequirements) {
	for _, list := range []struct {
		name string
		list corev1.ResourceList
	}{{"limits", r.Limits}, {"requests", r.Requests}} {
		for _, name := range slices.Sorted(maps.Keys(list.list)) {
			here := join(at, list.name, string(name))
			q := list.list[name]
			if q.Sign() < 0 {
				p.invalid(here, q.String(), "must be greater than or equal to 0")
			}
			if !strings.Contains(string(name), "/") && !standard(string(name)) {
				p.invalid(here, string(name), "must be a standard resource for containers")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request := r.Requests[name]
		limit, ok := r.Limits[name]
		if !ok {
			continue
		}
		if request.Cmp(limit) > 0 {
			p.invalid(join(at, "requests", string(name)), request.String(), "must be less than or equal to %s limit of %s", name, limit.String())
		}
	}
}

// standard tells whether a resource without a domain is one that containers have.
func standard(name string) bool {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
}

// port holds a port against the range of ports; 0 is absent.
func (p *problems) port(at []any, port int32) {
	if port == 0 {
		return
	}
	for _, why := range validation.IsValidPortNum(int(port)) {
		p.invalid(at, int64(port), "%s", why)
	}
}

func (p *problems) portOrName(at []any, port intstr.IntOrString) {
	if port.Type == intstr.Int {
		for _, why := range validation.IsValidPortNum(int(port.IntVal)) {
			p.invalid(at, int64(port.IntVal), "%s", why)
		}
		return
	}
	for _, why := range validation.IsValidPortName(port.StrVal) {
		p.invalid(at, port.StrVal, "%s", why)
	}
}

func labelErrors(name string) []string {
	if name == "" {
		return nil // required; reported
	}
	return validation.IsDNS1123Label(name)
}

func count(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// oneOf lists names for a message: "; it has a, b".
func oneOf(names map[string]bool) string {
	list := slices.Sorted(maps.Keys(names))
	if len(list) == 0 {
		return ""
	}
	if len(list) > 10 {
		list = append(list[:10], "…")
	}
	return "; it has " + strings.Join(list, ", ")
}

// at0 is at with the path as arguments.
func at0(obj any, path ...any) any { return fieldpath.At(obj, path) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
