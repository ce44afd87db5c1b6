package soak

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Workload is what Git says that runs in staging.
type Workload struct {
	Kind, Namespace, Name string            // Deployment, StatefulSet, DaemonSet
	Images                map[string]string // of its containers, by name, also those that begin
}

func (w Workload) String() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// maxPods of one workload are looked at.
const maxPods = 500

// live is what the cluster has of a workload.
type live struct {
	generation, observed int64
	want, updated, ready int32
	template             corev1.PodSpec
	selector             *metav1.LabelSelector
	available, rolledOut *time.Time // since when, if the kind tells
}

// Look asks the cluster whether workloads are healthy with the images that Git says, and since
// when: since the last rollout, restart of a container, or moment at which a pod was not ready.
func Look(ctx context.Context, client kubernetes.Interface, workloads []Workload) (*Health, error) {
	h := &Health{}
	for _, w := range workloads {
		if err := h.look(ctx, client, w); err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
	}
	slices.Sort(h.Problems)
	h.Problems = slices.Compact(h.Problems)
	if len(workloads) == 0 {
		h.Problems = append(h.Problems, "it has no workload in staging")
	}
	return h, nil
}

func (h *Health) problem(format string, args ...any) {
	h.Problems = append(h.Problems, fmt.Sprintf(format, args...))
}

func (h *Health) look(ctx context.Context, client kubernetes.Interface, w Workload) error {
	l, err := read(ctx, client, w)
	switch {
	case apierrors.IsNotFound(err):
		h.problem("%s is not there: Flux has not applied it", w)
		return nil
	case err != nil:
		return err
	}
	images := map[string]string{}
	for _, c := range append(slices.Clone(l.template.InitContainers), l.template.Containers...) {
		images[c.Name] = c.Image
	}
	for _, name := range slices.Sorted(maps.Keys(w.Images)) {
		if images[name] != w.Images[name] {
			h.problem("%s runs %s, and Git says %s: Flux has not applied it yet", w, cmp.Or(images[name], "no container "+name), w.Images[name])
		}
	}
	if l.observed < l.generation || l.updated < l.want {
		h.problem("%s is being rolled out: %d of %d pods are new", w, l.updated, l.want)
	}
	if l.ready < l.want {
		h.problem("%s has %d of %d pods ready", w, l.ready, l.want)
	}
	if l.want == 0 {
		h.problem("%s has no pods: it is scaled to 0", w)
	}
	for what, at := range map[string]*time.Time{"was rolled out": l.rolledOut, "became available": l.available} {
		if at != nil {
			h.Since = later(h.Since, Moment{*at, w.String() + " " + what})
		}
	}
	return h.pods(ctx, client, w, l)
}

func read(ctx context.Context, client kubernetes.Interface, w Workload) (*live, error) {
	apps, get := client.AppsV1(), metav1.GetOptions{}
	switch w.Kind {
	case "Deployment":
		d, err := apps.Deployments(w.Namespace).Get(ctx, w.Name, get)
		if err != nil {
			return nil, err
		}
		l := &live{
			generation: d.Generation, observed: d.Status.ObservedGeneration, want: count(d.Spec.Replicas), updated: d.Status.UpdatedReplicas,
			ready: d.Status.AvailableReplicas, template: d.Spec.Template.Spec, selector: d.Spec.Selector,
		}
		for _, c := range d.Status.Conditions {
			switch {
			case c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionTrue:
				l.available = &c.LastTransitionTime.Time
			case c.Type == appsv1.DeploymentProgressing && c.Reason == "NewReplicaSetAvailable":
				l.rolledOut = &c.LastUpdateTime.Time
			}
		}
		return l, nil
	case "StatefulSet":
		s, err := apps.StatefulSets(w.Namespace).Get(ctx, w.Name, get)
		if err != nil {
			return nil, err
		}
		l := &live{
			generation: s.Generation, observed: s.Status.ObservedGeneration, want: count(s.Spec.Replicas), updated: s.Status.UpdatedReplicas,
			ready: s.Status.ReadyReplicas, template: s.Spec.Template.Spec, selector: s.Spec.Selector,
		}
		if s.Status.CurrentRevision == s.Status.UpdateRevision {
			l.updated = l.want // updatedReplicas counts only while something is updated
		}
		return l, nil
	case "DaemonSet":
		d, err := apps.DaemonSets(w.Namespace).Get(ctx, w.Name, get)
		if err != nil {
			return nil, err
		}
		return &live{
			generation: d.Generation, observed: d.Status.ObservedGeneration, want: d.Status.DesiredNumberScheduled, updated: d.Status.UpdatedNumberScheduled,
			ready: d.Status.NumberAvailable, template: d.Spec.Template.Spec, selector: d.Spec.Selector,
		}, nil
	}
	return nil, fmt.Errorf("there is no such kind of workload")
}

func count(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

// pods looks at the pods of a workload: each that restarted, or was not ready, begins the soak
// anew, and so does a new one, for nobody knows why it is new.
func (h *Health) pods(ctx context.Context, client kubernetes.Interface, w Workload, l *live) error {
	selector, err := metav1.LabelSelectorAsSelector(l.selector)
	if err != nil {
		return err
	}
	list, err := client.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String(), Limit: maxPods})
	if err != nil {
		return err
	}
	if list.Continue != "" {
		return fmt.Errorf("it has more than %d pods, which are the most that are looked at", maxPods)
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue // it goes, or is a trace of what the workload has replaced
		}
		ready := false
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				ready = true
				h.Since = later(h.Since, Moment{c.LastTransitionTime.Time, fmt.Sprintf("pod %s/%s became ready", p.Namespace, p.Name)})
			}
		}
		if !ready {
			h.problem("pod %s/%s is not ready%s", p.Namespace, p.Name, waiting(&p))
		}
		for _, c := range p.Status.ContainerStatuses {
			t := c.LastTerminationState.Terminated
			if t == nil {
				continue
			}
			h.Since = later(h.Since, Moment{t.FinishedAt.Time, fmt.Sprintf("container %s of pod %s/%s restarted (%s, exit code %d)", c.Name, p.Namespace, p.Name, cmp.Or(t.Reason, "no reason"), t.ExitCode)})
		}
	}
	return nil
}

// waiting is why a container of a pod does not run.
func waiting(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			return fmt.Sprintf(": container %s: %s", c.Name, c.State.Waiting.Reason)
		}
	}
	return ""
}
