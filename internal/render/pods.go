package render

// Pods is the pod template in an object, or the pod itself.
type Pods struct {
	Path     []any          // of the template in the object: "spec", "template"; empty for a Pod
	Metadata map[string]any // labels, annotations; may be nil
	Spec     map[string]any
}

// Pods returns the pods that an object makes: of a Pod, of every workload kind,
// and of a PodTemplate.
func (o *Object) Pods() (Pods, bool) {
	var p []any
	switch {
	case o.Is("", "Pod"):
	case o.Is("", "PodTemplate"):
		p = []any{"template"}
	case o.Is("apps", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), o.Is("", "ReplicationController"), o.Is("batch", "Job"):
		p = []any{"spec", "template"}
	case o.Is("batch", "CronJob"):
		p = []any{"spec", "jobTemplate", "spec", "template"}
	default:
		return Pods{}, false
	}
	at := o.Object
	for _, f := range p {
		next, ok := at[f.(string)].(map[string]any)
		if !ok {
			return Pods{}, false
		}
		at = next
	}
	spec, ok := at["spec"].(map[string]any)
	if !ok {
		return Pods{}, false
	}
	meta, _ := at["metadata"].(map[string]any)
	return Pods{Path: p, Metadata: meta, Spec: spec}, true
}

// Container is one container of a pod.
type Container struct {
	Path  []any // in the object: "spec", "template", "spec", "containers", 0
	Name  string
	Image string
	Spec  map[string]any
}

// Containers returns the containers of the pods: init containers, containers,
// ephemeral ones, in this order. What is no container is left out; gate schema
// reports it.
func (p Pods) Containers() []Container {
	var out []Container
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		items, _ := p.Spec[list].([]any)
		for i, item := range items {
			c, ok := item.(map[string]any)
			if !ok {
				continue
			}
			name, _ := c["name"].(string)
			image, _ := c["image"].(string)
			at := append(append([]any{}, p.Path...), "spec", list, i)
			out = append(out, Container{Path: at, Name: name, Image: image, Spec: c})
		}
	}
	return out
}
