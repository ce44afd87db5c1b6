package evidence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

type store interface {
	Add(ctx context.Context, r Record) error
	List(ctx context.Context) ([]*History, error)
}

// stores are both kinds, empty.
func stores(t *testing.T) map[string]store {
	return map[string]store{
		"folder":     Folder{Dir: filepath.Join(t.TempDir(), "evidence")},
		"ConfigMaps": ConfigMaps{Client: fake.NewClientset(), Namespace: Namespace},
	}
}

func proof(hours int, result Result) Record {
	return Record{Kind: Mirror, Subject: "sync", Time: noon.Add(time.Duration(hours) * time.Hour), Result: result}
}

// TestHistory: the newest come first, no more than are kept, and the last that passed stays
// however often it failed since.
func TestHistory(t *testing.T) {
	t.Parallel()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			add := func(r Record) {
				t.Helper()
				if err := s.Add(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
				t.Fatalf("of nothing: %v %v", list, err)
			}
			passed := proof(0, Passed)
			passed.Figures, passed.Source = map[string]float64{"files": 3}, "abc"
			add(passed)
			for i := range keep + 5 {
				add(proof(i+1, Failed))
			}
			add(proof(-5, Passed)) // written late
			add(Record{Kind: Release, Subject: "prod/beacon.web", Time: noon.In(time.FixedZone("", 3600)).Add(time.Millisecond), Result: Failed, Reason: "two\nlines\x1b[31m " + strings.Repeat("ü", 600)})
			list, err := s.List(t.Context())
			if err != nil || len(list) != 2 {
				t.Fatalf("%v %v", list, err)
			}
			h := list[0]
			if len(h.Records) != keep || h.Last().Time != noon.Add((keep+5)*time.Hour) || h.Last().Result != Failed {
				t.Errorf("%d records, the newest %v", len(h.Records), h.Last())
			}
			if diff := cmp.Diff(&passed, h.Passed); diff != "" {
				t.Errorf("the last that passed (-want +got):\n%s", diff)
			}
			if age, ok := h.Age(noon.Add(time.Hour)); !ok || age != time.Hour {
				t.Errorf("age: %v %v", age, ok)
			}
			if age, ok := h.Age(noon.Add(-time.Hour)); !ok || age != 0 {
				t.Errorf("age by a clock that is behind: %v %v", age, ok)
			}
			r := list[1].Last()
			if _, ok := list[1].Age(noon); ok || r.Time != noon || !strings.HasPrefix(r.Reason, "two lines [31m ü") || len([]rune(r.Reason)) != maxText {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestAtOnce: whoever writes at the same time loses nothing.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	// The simulated server of client-go takes every update; a real one refuses what was read
	// before another's.
	var mu sync.Mutex
	version := map[string]string{}
	client.PrependReactor("update", "configmaps", func(action kubetesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		m := action.(kubetesting.UpdateAction).GetObject().(*corev1.ConfigMap)
		if m.ResourceVersion != version[m.Name] {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, m.Name, errors.New("it was changed"))
		}
		version[m.Name] = m.ResourceVersion + "x"
		m.ResourceVersion = version[m.Name]
		return true, m, client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("configmaps"), m, Namespace)
	})
	for name, s := range map[string]store{"folder": Folder{Dir: t.TempDir()}, "ConfigMaps": ConfigMaps{Client: client, Namespace: Namespace}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			const many = 3 // as many as a client tries again
			for i := range many {
				wg.Go(func() {
					if err := s.Add(t.Context(), proof(i, Passed)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			list, err := s.List(t.Context())
			if err != nil || len(list) != 1 || len(list[0].Records) != many {
				t.Errorf("%v %v", list, err)
			}
		})
	}
}

// TestRefused: what is no record is not kept.
func TestRefused(t *testing.T) {
	t.Parallel()
	many := map[string]float64{}
	for i := range maxFigures + 1 {
		many[fmt.Sprintf("f%d", i)] = 1
	}
	for name, tt := range map[string]struct {
		change func(r *Record)
		want   string
	}{
		"no kind":            {func(r *Record) { r.Kind = "" }, `evidence: the kind is ""; known are [check deploy`},
		"subject with space": {func(r *Record) { r.Subject = "prod beacon" }, `evidence: the subject is "prod beacon"`},
		"subject upwards":    {func(r *Record) { r.Subject = "../../etc" }, "evidence: the subject is"},
		"no result":          {func(r *Record) { r.Result = "fine" }, `evidence: the result is "fine", want passed or failed`},
		"no time":            {func(r *Record) { r.Time = time.Time{} }, "evidence: a record has no time"},
		"figure":             {func(r *Record) { r.Figures = map[string]float64{"Files": 1} }, `evidence: the figure "Files" is 1`},
		"no number":          {func(r *Record) { r.Figures = map[string]float64{"files": math.NaN()} }, `evidence: the figure "files" is NaN`},
		"figures":            {func(r *Record) { r.Figures = many }, "evidence: 31 figures; 30 are the most"},
	} {
		for kind, s := range stores(t) {
			r := proof(0, Passed)
			tt.change(&r)
			if err := s.Add(t.Context(), r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
				t.Errorf("%s, %s: kept %v %v", name, kind, list, err)
			}
		}
	}
}

// TestDamaged: what somebody else has written is told, and never taken for a proof.
func TestDamaged(t *testing.T) {
	t.Parallel()
	good := `{"kind": "mirror", "subject": "sync", "records": []}`
	for name, data := range map[string]string{
		"no JSON":               "{",
		"other subject":         strings.Replace(good, "sync", "verify", 1),
		"unknown kind":          strings.Replace(strings.Replace(good, "mirror", "rumour", 1), "[]", `[{"kind": "rumour", "subject": "sync", "result": "passed", "time": "2026-11-27T12:00:00Z"}]`, 1),
		"other's record":        strings.Replace(good, "[]", `[{"kind": "backup", "subject": "sync", "result": "passed", "time": "2026-11-27T12:00:00Z"}]`, 1),
		"record, no time":       strings.Replace(good, "[]", `[{"kind": "mirror", "subject": "sync", "result": "passed"}]`, 1),
		"a failure that passed": strings.Replace(good, "[]", `[], "passed": {"kind": "mirror", "subject": "sync", "result": "failed", "time": "2026-11-27T12:00:00Z"}`, 1),
		"too much":              good + strings.Repeat(" ", maxBytes),
	} {
		f := Folder{Dir: t.TempDir()}
		path := filepath.Join(f.Dir, "mirror", "sync.json")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
		c := ConfigMaps{Client: fake.NewClientset(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "evidence-mirror-sync", Labels: map[string]string{Label: "mirror"}},
			Data:       map[string]string{key: data},
		}), Namespace: Namespace}
		for kind, s := range map[string]store{"folder": f, "ConfigMaps": c} {
			if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s, %s, list: %v", name, kind, err)
			}
			if err := s.Add(t.Context(), proof(0, Passed)); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s, %s, add: %v", name, kind, err)
			}
		}
	}
}

// TestPreparedConfigMap: Git may have made an empty ConfigMap, so that an account that may
// create none can write it. What else is in it stays.
func TestPreparedConfigMap(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "evidence-mirror-sync", Labels: map[string]string{Label: "mirror", "more": "yes"}}})
	client.PrependReactor("create", "configmaps", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("nothing may be created")
	})
	c := ConfigMaps{Client: client, Namespace: Namespace}
	if list, err := c.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("before: %v %v", list, err)
	}
	if err := c.Add(t.Context(), proof(0, Passed)); err != nil {
		t.Fatal(err)
	}
	m, err := client.CoreV1().ConfigMaps(Namespace).Get(t.Context(), "evidence-mirror-sync", metav1.GetOptions{})
	if err != nil || m.Labels["more"] != "yes" {
		t.Errorf("%v %v", m, err)
	}
	if err := c.Add(t.Context(), Record{Kind: Backup, Subject: "etcd", Time: noon, Result: Passed}); err == nil || !strings.Contains(err.Error(), "evidence: ConfigMap lumacore-system/evidence-backup-etcd: nothing may be created") {
		t.Errorf("another: %v", err)
	}
}

// TestName: no two subjects have the same ConfigMap, and each has a name that Kubernetes takes.
func TestName(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, subject := range []string{"sync", "prod/beacon", "prod-beacon", "prod.beacon", "prod_beacon", strings.Repeat("a/", 49) + "a"} {
		name := Name(Release, subject)
		if other, ok := seen[name]; ok || len(name) > 253 || strings.ContainsAny(name, "/._") {
			t.Errorf("%s and %q: %s", subject, other, name)
		}
		seen[name] = subject
	}
}

// FuzzParse: what is read is rubbish, or whole.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind": "mirror", "subject": "sync", "records": [{"kind": "mirror", "subject": "sync", "result": "passed", "time": "2026-11-27T12:00:00Z"}]}`))
	f.Add([]byte(`{"records": null, "passed": {}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parse("", "", data)
		if err != nil {
			return
		}
		h.add(proof(0, Passed))
		if h.Passed == nil {
			t.Error("nothing passed")
		}
	})
}
