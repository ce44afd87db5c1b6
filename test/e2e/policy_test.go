//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check/policy"
	"lumacore.dev/lumacore/internal/report"
)

// refusedByPolicy tells whether the API server's answer is that of an admission policy,
// and not about the object itself.
func refusedByPolicy(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "validation.gatekeeper.sh") || strings.Contains(err.Error(), "ValidatingAdmissionPolicy"))
}

// denied are the findings of denied objects, by object.
func denied(rep *report.CheckReport) map[string][]report.Finding {
	out := map[string][]report.Finding{}
	for _, f := range rep.Findings {
		if f.Rule == "policy/denied" {
			out[f.Object] = append(out[f.Object], f)
		}
	}
	return out
}

// What gate policy says of the blueprint's objects is what the lab's API server says,
// with Gatekeeper's webhook and the ValidatingAdmissionPolicies that it generates.
func TestPolicyOnBlueprint(t *testing.T) {
	s := newServer(t)
	in := renderBlueprint(t)
	rep := gate(t, policy.Gate, in)
	found := denied(rep)
	for _, u := range rep.NotChecked {
		t.Logf("not checked: %s: %s", u.Subject, u.Reason)
	}
	compared := 0
	for _, o := range in.Render.Clusters[0].Objects {
		err := s.apply(t, o.Unstructured)
		if meta.IsNoMatchError(err) {
			continue
		}
		compared++
		if said := found[o.Key().String()]; refusedByPolicy(err) != (len(said) > 0) {
			t.Errorf("%s (%s)\n  API server: %s\n  gate: %q", o.Key(), o.Origin.Location, answer(err), messages(said))
		}
	}
	if compared < 100 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// The samples of the blueprint's policies, and pods that a policy in Rego is about: what
// the gate denies is denied by the lab, for the reason that the gate gives; what it only
// reports is admitted.
func TestPolicyOnSamples(t *testing.T) {
	s := newServer(t)
	template, constraint := regoPolicy(t)
	s.create(t, template)
	eventually(t, time.Minute, "the kind of the test's constraint is served", func() error {
		s := newServer(t) // its mapper knows the kinds that there were
		_, err := s.resource(constraint)
		return err
	})
	s = newServer(t)
	s.create(t, constraint)

	policies := map[string][]byte{}
	for _, pattern := range []string{"policies/templates/*/template.yaml", "policies/constraints/*.constraint.yaml"} {
		names, err := filepath.Glob(filepath.Join(blueprint, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for i, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			policies[fmt.Sprintf("cluster/%s-%d.yaml", strings.TrimSuffix(filepath.Base(name), ".yaml"), i)] = data
		}
	}
	for name, o := range map[string]*unstructured.Unstructured{"template": template, "constraint": constraint} {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		policies["cluster/rego-"+name+".yaml"] = data
	}
	spaces := map[string]string{"app-sample": "prod", "app-sample-staging": "staging"}
	samples := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(blueprint, "policies/templates/*/samples/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		switch {
		case strings.HasPrefix(base, "namespace-"):
			policies["cluster/"+base] = data
		case base == "denied-pod-ephemeral-container-latest.yaml": // such a pod cannot be created, whatever its images are
		case !strings.HasPrefix(base, "constraint-"):
			samples[base] = data
		}
	}
	samples["rego-denied.yaml"] = samplePod("rego-denied", "app-sample", "")
	samples["rego-allowed.yaml"] = samplePod("rego-allowed", "app-sample", "me")
	samples["rego-elsewhere.yaml"] = samplePod("rego-elsewhere", "app-sample-staging", "")
	for name, env := range spaces {
		s.namespace(t, name, map[string]string{"lumacore.env": env})
	}
	// Gatekeeper takes a moment to put the test's constraint in force.
	unowned := parse(t, samples["rego-denied.yaml"])
	eventually(t, time.Minute, "the test's constraint is enforced", func() error {
		if err := s.apply(t, unowned); !refusedByPolicy(err) {
			return fmt.Errorf("the API server says: %s", answer(err))
		}
		return nil
	})

	refused := 0
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			files := maps.Clone(policies)
			files["cluster/sample.yaml"] = samples[name]
			found := denied(gate(t, policy.Gate, renderFiles(t, files)))
			o := parse(t, samples[name])
			said := found[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()]
			err := s.apply(t, o)
			if refusedByPolicy(err) != (len(said) > 0) {
				t.Fatalf("API server: %s\ngate: %q", answer(err), messages(said))
			}
			if err == nil {
				return
			}
			refused++
			// The first of several answers: API servers stop at the first policy that denies.
			if !slices.ContainsFunc(said, func(f report.Finding) bool {
				_, why, _ := strings.Cut(f.Message, " denies it: ")
				return why != "" && strings.Contains(strings.Join(strings.Fields(err.Error()), " "), why)
			}) {
				t.Errorf("for another reason:\nAPI server: %s\ngate: %q", answer(err), messages(said))
			}
		})
	}
	if refused < 8 && !t.Failed() {
		t.Errorf("only %d samples are refused", refused)
	}
}

// regoPolicy is a policy that the blueprint does not have: in Rego, with parameters.
func regoPolicy(t *testing.T) (template, constraint *unstructured.Unstructured) {
	t.Helper()
	template = parse(t, []byte(`apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: e2eowner
spec:
  crd:
    spec:
      names:
        kind: E2EOwner
      validation:
        openAPIV3Schema:
          type: object
          properties:
            label: {type: string}
  targets:
    - target: admission.k8s.gatekeeper.sh
      code:
        - engine: Rego
          source:
            version: v1
            rego: |
              package e2eowner

              violation contains {"msg": msg} if {
                not input.review.object.metadata.labels[input.parameters.label]
                msg := sprintf("the label %v is missing", [input.parameters.label])
              }
`))
	constraint = parse(t, []byte(`apiVersion: constraints.gatekeeper.sh/v1beta1
kind: E2EOwner
metadata:
  name: e2e-owner
spec:
  enforcementAction: deny
  match:
    namespaces: [app-sample]
    labelSelector:
      matchLabels: {e2e: rego}
    kinds:
      - apiGroups: [""]
        kinds: [Pod]
  parameters:
    label: owner
`))
	return template, constraint
}

// samplePod is a pod that only the policy in Rego has something against.
func samplePod(name, namespace, owner string) []byte {
	label := ""
	if owner != "" {
		label = ", owner: " + owner
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  labels: {e2e: rego%s}
spec:
  containers:
    - name: web
      image: docker.io/library/nginx:1.29.3
`, name, namespace, label)
}

func parse(t *testing.T, manifest []byte) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(manifest, &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
