package helm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/chartutil"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Values composes the values of a release as [Render] does. Of env, only Lookup and
// Placeholder are asked.
func Values(ctx context.Context, hr *helmv2.HelmRelease, env Env) (map[string]any, error) {
	out, _, err := values(ctx, hr, env)
	return out, err
}

// values composes the values of a release with Flux's own code: valuesFrom in
// order, then spec.values. It returns the names of the values that only the
// cluster has and that a stand-in was put for, or that were left out.
func values(ctx context.Context, hr *helmv2.HelmRelease, env Env) (map[string]any, []string, error) {
	var own map[string]any
	if hr.Spec.Values != nil {
		if err := yaml.Unmarshal(hr.Spec.Values.Raw, &own); err != nil {
			return nil, nil, &SpecError{"spec.values is no mapping: " + err.Error()}
		}
	}
	objects := &reader{env: env}
	var refs []helmv2.ValuesReference
	var index []int // of each of refs in valuesFrom
	for i, ref := range hr.Spec.ValuesFrom {
		// A whole file of values that only the cluster has cannot be guessed.
		if ref.Kind == "Secret" && ref.TargetPath == "" {
			if name, _, ok := objects.placeholder(hr.Namespace, ref.Name, ref.GetValuesKey()); ok {
				objects.used = append(objects.used, name)
				continue
			}
		}
		objects.keys = append(objects.keys, [2]string{ref.Name, ref.GetValuesKey()})
		refs, index = append(refs, ref), append(index, i)
	}
	out, err := chartutil.ChartValuesFromReferences(ctx, logr.Discard(), objects, hr.Namespace, own, refs...)
	slices.Sort(objects.used)
	objects.used = slices.Compact(objects.used)
	if err == nil {
		return out, objects.used, nil
	}
	var bad *chartutil.ErrValuesReference
	if !errors.As(err, &bad) {
		return nil, nil, &ValuesError{Reason: err.Error(), Ref: "values"}
	}
	e := &ValuesError{Ref: bad.Kind + " " + bad.Name.String()}
	for i, ref := range refs {
		if ref.Kind == bad.Kind && ref.Name == bad.Name.Name && ref.GetValuesKey() == bad.Key {
			e.Index = index[i]
			break
		}
	}
	switch bad.Reason {
	case chartutil.ErrResourceNotFound:
		e.Reason = "nothing in the repository makes it"
	case chartutil.ErrKeyNotFound:
		e.Reason = fmt.Sprintf("it has no key %q", bad.Key)
	case chartutil.ErrUnsupportedRefKind:
		e.Reason = fmt.Sprintf("the kind %q is neither ConfigMap nor Secret", bad.Kind)
	case chartutil.ErrValuesDataRead:
		e.Reason = fmt.Sprintf("its key %q is no YAML mapping: %v", bad.Key, bad.Err)
	case chartutil.ErrValueMerge:
		e.Reason = fmt.Sprintf("its key %q cannot be set at targetPath %s: %v", bad.Key, hr.Spec.ValuesFrom[e.Index].TargetPath, bad.Err)
	default:
		e.Reason = bad.Error()
	}
	return nil, nil, e
}

// reader answers for the API server, with the objects of the render.
type reader struct {
	client.Client // nil: only Get is called

	env  Env
	keys [][2]string // name and key of the references
	used []string    // placeholders
}

// placeholder returns the stand-in for a Secret's value that only the cluster has.
func (r *reader) placeholder(namespace, name, key string) (what, value string, ok bool) {
	if r.env.Placeholder == nil {
		return "", "", false
	}
	value, ok = r.env.Placeholder(namespace, name, key)
	return fmt.Sprintf("%s from Secret %s/%s", key, namespace, name), value, ok
}

// Get fills obj, a ConfigMap or a Secret.
func (r *reader) Get(_ context.Context, at client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	kind := "ConfigMap"
	secret, isSecret := obj.(*corev1.Secret)
	if isSecret {
		kind = "Secret"
	}
	var u *unstructured.Unstructured
	if r.env.Lookup != nil {
		u = r.env.Lookup("", kind, at.Namespace, at.Name)
	}
	data := map[string]string{}
	if u != nil {
		data, _, _ = unstructured.NestedStringMap(u.Object, "data")
	}
	if !isSecret {
		if u == nil {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, at.Name)
		}
		obj.(*corev1.ConfigMap).Data = data
		return nil
	}
	secret.Data = map[string][]byte{}
	for k, v := range data {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			b = []byte(v) // encrypted, or a mistake that the schema gate reports
		}
		secret.Data[k] = b
	}
	if u != nil {
		text, _, _ := unstructured.NestedStringMap(u.Object, "stringData")
		for k, v := range text {
			secret.Data[k] = []byte(v)
		}
	}
	found := u != nil
	for _, k := range r.keys {
		if k[0] != at.Name {
			continue
		}
		if what, value, ok := r.placeholder(at.Namespace, at.Name, k[1]); ok {
			secret.Data[k[1]] = []byte(value)
			r.used = append(r.used, what)
			found = true
		}
	}
	if !found {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, at.Name)
	}
	return nil
}
