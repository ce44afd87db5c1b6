package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// dashboard is what of Grafana's model is looked at.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		Title      string
		Datasource struct{ Type, UID string }
		Targets    []struct{ Expr string }
	}
}

// TestDashboards has promtool read every query to Prometheus of our own dashboards, as if
// each were a rule.
func TestDashboards(t *testing.T) {
	var v struct {
		Grafana struct {
			AdditionalDataSources []struct{ UID, Type string }
		}
	}
	values(t, "kube-prometheus-stack", &v)
	// The chart's own; the others stand in the values.
	sources := map[string]string{"prometheus": "prometheus", "alertmanager": "alertmanager"}
	for _, s := range v.Grafana.AdditionalDataSources {
		sources[s.UID] = s.Type
	}

	n := 0
	for _, o := range objects(t) {
		for file, text := range o.Object.Data {
			if o.Object.Kind != "ConfigMap" || !strings.HasSuffix(file, ".dashboard.json") {
				continue
			}
			n++
			t.Run(file, func(t *testing.T) {
				var d dashboard
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					t.Fatal(err)
				}
				if d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
					t.Errorf("uid %q, title %q, %d panels: a dashboard has them all", d.UID, d.Title, len(d.Panels))
				}
				var rules []any
				for i, p := range d.Panels {
					if sources[p.Datasource.UID] != p.Datasource.Type {
						t.Errorf("panel %q asks data source %s of type %s, which Grafana does not have", p.Title, p.Datasource.UID, p.Datasource.Type)
					}
					for j, q := range p.Targets {
						if p.Datasource.Type == "prometheus" {
							rules = append(rules, map[string]string{
								"record": fmt.Sprintf("panel:%d:%d", i, j),
								"expr":   strings.ReplaceAll(q.Expr, "$__rate_interval", "5m"),
							})
						}
					}
				}
				data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": d.UID, "rules": rules}}})
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "queries.yaml"), data, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := check(t, dir, "check", "rules", "--lint=none", "queries.yaml"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if n == 0 {
		t.Error("no ConfigMap with a *.dashboard.json is rendered")
	}
}
