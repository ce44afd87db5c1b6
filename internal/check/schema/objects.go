package schema

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"lumacore.dev/lumacore/internal/render"
)

// maxData is the most that a Secret or ConfigMap may hold, in bytes
// (https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size).
const maxData = 1 << 20

// other holds objects that make no pods against the rules of their kinds.
func (p *problems) other(o *render.Object) {
	switch {
	case o.Is("", "Service"):
		if s, ok := decode[corev1.Service](o.Object); ok {
			p.service(s)
		}
	case o.Is("", "ConfigMap"):
		p.configMap(o.Object)
	case o.Is("", "Secret"):
		p.secret(o)
	case o.Is("", "PersistentVolumeClaim"):
		if c, ok := decode[corev1.PersistentVolumeClaim](o.Object); ok {
			p.claim([]any{"spec"}, c.Spec)
		}
	case o.Is("", "PersistentVolume"):
		if v, ok := decode[corev1.PersistentVolume](o.Object); ok {
			if len(v.Spec.AccessModes) == 0 {
				p.required([]any{"spec", "accessModes"}, "")
			}
			if _, ok := v.Spec.Capacity[corev1.ResourceStorage]; !ok {
				p.required([]any{"spec", "capacity", "storage"}, "")
			}
			if v.Spec.PersistentVolumeSource == (corev1.PersistentVolumeSource{}) {
				p.required([]any{"spec"}, "must specify a volume type")
			}
		}
	case o.Is("networking.k8s.io", "Ingress") && o.GroupVersionKind().Version == "v1":
		if i, ok := decode[networkingv1.Ingress](o.Object); ok {
			p.ingress(i)
		}
	case o.Is("networking.k8s.io", "NetworkPolicy"):
		if n, ok := decode[networkingv1.NetworkPolicy](o.Object); ok {
			p.networkPolicy(n)
		}
	case o.Is("rbac.authorization.k8s.io", "Role"):
		if r, ok := decode[rbacv1.Role](o.Object); ok {
			p.rules(r.Rules, true)
		}
	case o.Is("rbac.authorization.k8s.io", "ClusterRole"):
		if r, ok := decode[rbacv1.ClusterRole](o.Object); ok {
			p.rules(r.Rules, false)
		}
	case o.Is("rbac.authorization.k8s.io", "RoleBinding", "ClusterRoleBinding"):
		if b, ok := decode[rbacv1.RoleBinding](o.Object); ok { // they have the same fields
			p.binding(b, o.GetKind() == "RoleBinding")
		}
	case o.Is("autoscaling", "HorizontalPodAutoscaler") && o.GroupVersionKind().Version == "v2":
		if h, ok := decode[autoscalingv2.HorizontalPodAutoscaler](o.Object); ok {
			p.notNegative([]any{"spec", "minReplicas"}, h.Spec.MinReplicas)
			if n := h.Spec.MinReplicas; n != nil && h.Spec.MaxReplicas < *n {
				p.invalid([]any{"spec", "maxReplicas"}, int64(h.Spec.MaxReplicas), "must be greater than or equal to `minReplicas`")
			}
		}
	case o.Is("policy", "PodDisruptionBudget"):
		if b, ok := decode[policyv1.PodDisruptionBudget](o.Object); ok {
			if b.Spec.MinAvailable != nil && b.Spec.MaxUnavailable != nil {
				p.add(ruleValue, []any{"spec"}, nil, "Invalid value: minAvailable and maxUnavailable cannot be both set")
			}
			p.share([]any{"spec", "minAvailable"}, b.Spec.MinAvailable, true)
			p.share([]any{"spec", "maxUnavailable"}, b.Spec.MaxUnavailable, true)
		}
	}
}

// claim holds the spec of a PersistentVolumeClaim against the rules.
func (p *problems) claim(at []any, spec corev1.PersistentVolumeClaimSpec) {
	if len(spec.AccessModes) == 0 {
		p.required(join(at, "accessModes"), "at least 1 access mode is required")
	}
	storage := join(at, "resources", "requests", "storage")
	if q, ok := spec.Resources.Requests[corev1.ResourceStorage]; !ok {
		p.required(storage, "")
	} else if q.Sign() <= 0 {
		p.invalid(storage, q.String(), "must be greater than zero")
	}
}

func (p *problems) service(s *corev1.Service) {
	spec := []any{"spec"}
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	kind := s.Spec.Type
	if kind == corev1.ServiceTypeExternalName {
		if s.Spec.ExternalName == "" {
			p.required(join(spec, "externalName"), "")
		}
		for _, why := range nonEmpty(strings.TrimSuffix(s.Spec.ExternalName, "."), validation.IsDNS1123Subdomain) {
			p.invalid(join(spec, "externalName"), s.Spec.ExternalName, "%s", why)
		}
	} else if len(s.Spec.Ports) == 0 && !headless {
		p.required(join(spec, "ports"), "")
	}
	if headless && (kind == corev1.ServiceTypeLoadBalancer || kind == corev1.ServiceTypeNodePort) {
		p.invalid(join(spec, "clusterIP"), "None", "may not be set to 'None' for %s services", kind)
	}
	names := map[string]bool{}
	for i, port := range s.Spec.Ports {
		at := join(spec, "ports", i)
		switch {
		case port.Name == "" && len(s.Spec.Ports) > 1:
			p.required(join(at, "name"), "a Service with several ports names each")
		case port.Name != "":
			for _, why := range labelErrors(port.Name) {
				p.invalid(join(at, "name"), port.Name, "%s", why)
			}
			if names[port.Name] {
				p.add(ruleDuplicate, join(at, "name"), port.Name, "Duplicate value: %q", port.Name)
			}
			names[port.Name] = true
		}
		p.port(join(at, "port"), port.Port)
		if t := port.TargetPort; t.IntVal != 0 || t.StrVal != "" { // else it is that of port
			p.portOrName(join(at, "targetPort"), t)
		}
		if port.NodePort != 0 && (kind == "" || kind == corev1.ServiceTypeClusterIP) {
			p.add(ruleValue, join(at, "nodePort"), int64(port.NodePort), "Forbidden: may not be used when `type` is 'ClusterIP'")
		}
	}
	selector := map[string]any{}
	for k, v := range s.Spec.Selector {
		selector[k] = v
	}
	p.labels(selector, join(spec, "selector"))
	if s.Spec.SessionAffinityConfig != nil && (s.Spec.SessionAffinity == "" || s.Spec.SessionAffinity == corev1.ServiceAffinityNone) {
		p.add(ruleValue, join(spec, "sessionAffinityConfig"), nil, "Forbidden: must not be set when session affinity is None")
	}
}

func (p *problems) configMap(obj map[string]any) {
	data, _ := obj["data"].(map[string]any)
	binary, _ := obj["binaryData"].(map[string]any)
	size := 0
	for _, k := range sorted(data) {
		p.dataKey([]any{"data", k}, k)
		if _, ok := binary[k]; ok {
			p.invalid([]any{"data", k}, k, "duplicate of key present in binaryData")
		}
		s, _ := data[k].(string)
		size += len(s)
	}
	for _, k := range sorted(binary) {
		p.dataKey([]any{"binaryData", k}, k)
		s, _ := binary[k].(string)
		size += base64.StdEncoding.DecodedLen(len(strings.TrimRight(s, "=")))
	}
	if size > maxData {
		p.add(ruleValue, []any{"data"}, nil, "Too long: may not be more than %d bytes; it has %d", maxData, size)
	}
}

func (p *problems) secret(o *render.Object) {
	obj := o.Object
	data, _ := obj["data"].(map[string]any)
	text, _ := obj["stringData"].(map[string]any)
	size := 0
	for _, k := range sorted(data) {
		p.dataKey([]any{"data", k}, k)
		if _, ok := text[k]; !ok {
			s, _ := data[k].(string)
			size += base64.StdEncoding.DecodedLen(len(strings.TrimRight(s, "=")))
		}
	}
	for _, k := range sorted(text) {
		p.dataKey([]any{"stringData", k}, k)
		s, _ := text[k].(string)
		size += len(s)
	}
	if size > maxData {
		p.add(ruleValue, []any{"data"}, nil, "Too long: may not be more than %d bytes; it has %d", maxData, size)
	}
	// What the types ask for: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
	has := func(k string) bool {
		_, a := data[k]
		_, b := text[k]
		return a || b
	}
	need := func(keys ...string) {
		for _, k := range keys {
			if !has(k) {
				p.required([]any{"data", k}, "")
			}
		}
	}
	kind, _ := obj["type"].(string)
	switch corev1.SecretType(kind) {
	case corev1.SecretTypeTLS:
		need(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	case corev1.SecretTypeSSHAuth:
		need(corev1.SSHAuthPrivateKey)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			need(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeDockercfg:
		need(corev1.DockerConfigKey)
		p.secretJSON(o, data, text, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		need(corev1.DockerConfigJsonKey)
		p.secretJSON(o, data, text, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeServiceAccountToken:
		if o.GetAnnotations()[corev1.ServiceAccountNameKey] == "" {
			p.required([]any{"metadata", "annotations", corev1.ServiceAccountNameKey}, "")
		}
	}
}

// secretJSON: the value must be an object in JSON. The message does not show it.
func (p *problems) secretJSON(o *render.Object, data, text map[string]any, key string) {
	at, value := []any{"stringData", key}, []byte(nil)
	if s, ok := text[key].(string); ok {
		value = []byte(s)
	} else if s, ok := data[key].(string); ok {
		at[0] = "data"
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return // reported
		}
		value = b
	} else {
		return
	}
	if json.Unmarshal(value, &map[string]any{}) != nil && len(o.Origin.Placeholders) == 0 {
		p.add(ruleValue, at, nil, "Invalid value: the value is no JSON object, as Secrets of type %v must have", o.Object["type"])
	}
}

func (p *problems) dataKey(at []any, key string) {
	for _, why := range validation.IsConfigMapKey(key) {
		p.invalid(at, key, "%s", why)
	}
}

func (p *problems) ingress(i *networkingv1.Ingress) {
	spec := []any{"spec"}
	if len(i.Spec.Rules) == 0 && i.Spec.DefaultBackend == nil {
		p.add(ruleRequired, spec, nil, "either `defaultBackend` or `rules` must be specified")
	}
	if i.Spec.DefaultBackend != nil {
		p.backend(join(spec, "defaultBackend"), i.Spec.DefaultBackend)
	}
	for n, r := range i.Spec.Rules {
		at := join(spec, "rules", n)
		if r.Host != "" {
			check := validation.IsDNS1123Subdomain
			if strings.Contains(r.Host, "*") {
				check = validation.IsWildcardDNS1123Subdomain
			}
			if netutils.ParseIPSloppy(r.Host) != nil {
				p.invalid(join(at, "host"), r.Host, "must be a DNS name, not an IP address")
			}
			for _, why := range check(r.Host) {
				p.invalid(join(at, "host"), r.Host, "%s", why)
			}
		}
		if r.HTTP == nil {
			continue
		}
		for m, path := range r.HTTP.Paths {
			here := join(at, "http", "paths", m)
			specific := path.PathType != nil && *path.PathType == networkingv1.PathTypeImplementationSpecific
			if path.PathType != nil && !strings.HasPrefix(path.Path, "/") && (!specific || path.Path != "") {
				p.invalid(join(here, "path"), path.Path, "must be an absolute path")
			}
			p.backend(join(here, "backend"), &path.Backend)
		}
	}
}

func (p *problems) backend(at []any, b *networkingv1.IngressBackend) {
	switch {
	case b.Resource != nil && b.Service != nil:
		p.invalid(at, "", "cannot set both resource and service backends")
	case b.Resource == nil && b.Service == nil:
		p.invalid(at, "", "resource or service backend is required")
	case b.Service != nil:
		switch port := b.Service.Port; {
		case port.Name != "" && port.Number != 0:
			p.invalid(at, "", "cannot set both port name & port number")
		case port.Name != "":
			for _, why := range validation.IsValidPortName(port.Name) {
				p.invalid(join(at, "service", "port", "name"), port.Name, "%s", why)
			}
		case port.Number != 0:
			p.port(join(at, "service", "port", "number"), port.Number)
		default:
			p.required(join(at, "service", "port"), "port name or number is required")
		}
	}
}

func (p *problems) networkPolicy(n *networkingv1.NetworkPolicy) {
	spec := []any{"spec"}
	for i, r := range n.Spec.Ingress {
		p.policyPorts(join(spec, "ingress", i, "ports"), r.Ports)
		p.peers(join(spec, "ingress", i, "from"), r.From)
	}
	for i, r := range n.Spec.Egress {
		p.policyPorts(join(spec, "egress", i, "ports"), r.Ports)
		p.peers(join(spec, "egress", i, "to"), r.To)
	}
}

func (p *problems) policyPorts(at []any, ports []networkingv1.NetworkPolicyPort) {
	for i, port := range ports {
		here := join(at, i)
		if port.Port != nil {
			p.portOrName(join(here, "port"), *port.Port)
		}
		switch {
		case port.EndPort == nil:
		case port.Port == nil:
			p.invalid(join(here, "endPort"), int64(*port.EndPort), "may not be specified when `port` is not specified")
		case port.Port.Type == intstr.String:
			p.invalid(join(here, "endPort"), int64(*port.EndPort), "may not be specified when `port` is non-numeric")
		case *port.EndPort < port.Port.IntVal:
			p.invalid(join(here, "endPort"), int64(*port.EndPort), "must be greater than or equal to `port`")
		}
	}
}

func (p *problems) peers(at []any, peers []networkingv1.NetworkPolicyPeer) {
	for i, peer := range peers {
		here := join(at, i)
		switch {
		case peer.IPBlock == nil && peer.PodSelector == nil && peer.NamespaceSelector == nil:
			p.required(here, "must specify a peer")
		case peer.IPBlock == nil || peer.IPBlock.CIDR == "":
		case peer.PodSelector != nil || peer.NamespaceSelector != nil:
			p.add(ruleValue, here, nil, "Forbidden: may not specify both ipBlock and another peer")
		default:
			_, cidr, err := netutils.ParseCIDRSloppy(peer.IPBlock.CIDR)
			if err != nil {
				p.invalid(join(here, "ipBlock", "cidr"), peer.IPBlock.CIDR, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
				continue
			}
			for n, e := range peer.IPBlock.Except {
				_, except, err := netutils.ParseCIDRSloppy(e)
				if err != nil {
					p.invalid(join(here, "ipBlock", "except", n), e, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
					continue
				}
				whole, _ := cidr.Mask.Size()
				part, _ := except.Mask.Size()
				if !cidr.Contains(except.IP) || whole >= part {
					p.invalid(join(here, "ipBlock", "except", n), e, "must be a strict subset of `cidr`")
				}
			}
		}
	}
}

func (p *problems) rules(rules []rbacv1.PolicyRule, namespaced bool) {
	for i, r := range rules {
		at := []any{"rules", i}
		if len(r.NonResourceURLs) > 0 {
			switch {
			case namespaced:
				p.invalid(join(at, "nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
			case len(r.APIGroups)+len(r.Resources)+len(r.ResourceNames) > 0:
				p.invalid(join(at, "nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			p.required(join(at, "apiGroups"), "resource rules must supply at least one api group")
		}
		if len(r.Resources) == 0 {
			p.required(join(at, "resources"), "resource rules must supply at least one resource")
		}
	}
}

func (p *problems) binding(b *rbacv1.RoleBinding, namespaced bool) {
	if g := b.RoleRef.APIGroup; g != "" && g != rbacv1.GroupName {
		p.unsupported([]any{"roleRef", "apiGroup"}, g, []string{rbacv1.GroupName})
	}
	kinds := []string{"ClusterRole"}
	if namespaced {
		kinds = []string{"Role", "ClusterRole"}
	}
	if k := b.RoleRef.Kind; k == "Role" && !namespaced || k != "" && k != "Role" && k != "ClusterRole" {
		p.unsupported([]any{"roleRef", "kind"}, k, kinds)
	}
	for i, s := range b.Subjects {
		at := []any{"subjects", i}
		switch s.Kind {
		case "":
		case rbacv1.ServiceAccountKind:
			for _, why := range nonEmpty(s.Name, validation.IsDNS1123Subdomain) {
				p.invalid(join(at, "name"), s.Name, "%s", why)
			}
			if s.APIGroup != "" {
				p.unsupported(join(at, "apiGroup"), s.APIGroup, []string{""})
			}
			if s.Namespace == "" && !namespaced {
				p.required(join(at, "namespace"), "")
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			if s.APIGroup != "" && s.APIGroup != rbacv1.GroupName {
				p.unsupported(join(at, "apiGroup"), s.APIGroup, []string{rbacv1.GroupName})
			}
		default:
			p.unsupported(join(at, "kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind})
		}
	}
}

func nonEmpty(s string, check func(string) []string) []string {
	if s == "" {
		return nil
	}
	return check(s)
}
