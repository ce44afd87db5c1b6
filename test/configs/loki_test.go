package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// lokiValues are the values of Loki's chart that decide whether it starts and whether
// anything is ever deleted. limits_config and compactor take the keys that the blueprint
// uses and no others: Loki refuses to start with a key that it does not know.
type lokiValues struct {
	DeploymentMode            string
	SingleBinary              replicas
	Read, Write, Backend      replicas
	ChunksCache, ResultsCache struct{ Enabled *bool }
	Loki                      json.RawMessage
}

type replicas struct{ Replicas *int }

type lokiLimits struct {
	RetentionPeriod model.Duration `json:"retention_period"`
	RetentionStream []struct {
		Selector string         `json:"selector"`
		Priority int            `json:"priority"`
		Period   model.Duration `json:"period"`
	} `json:"retention_stream"`
	IngestionRateMB         float64        `json:"ingestion_rate_mb"`
	IngestionBurstSizeMB    float64        `json:"ingestion_burst_size_mb"`
	PerStreamRateLimit      string         `json:"per_stream_rate_limit"`
	PerStreamRateLimitBurst string         `json:"per_stream_rate_limit_burst"`
	MaxLabelNamesPerSeries  int            `json:"max_label_names_per_series"`
	RejectOldSamples        bool           `json:"reject_old_samples"`
	RejectOldSamplesMaxAge  model.Duration `json:"reject_old_samples_max_age"`
	AllowStructuredMetadata bool           `json:"allow_structured_metadata"`
	VolumeEnabled           bool           `json:"volume_enabled"`
}

type lokiCompactor struct {
	RetentionEnabled   bool   `json:"retention_enabled"`
	DeleteRequestStore string `json:"delete_request_store"`
}

type lokiSchema struct {
	From        string `json:"from"`
	Store       string `json:"store"`
	ObjectStore string `json:"object_store"`
	Schema      string `json:"schema"`
	Index       struct {
		Prefix string `json:"prefix"`
		Period string `json:"period"`
	} `json:"index"`
}

// loki looks at the values of Loki's chart. Loki itself is not asked: as a Go module it is
// two thousand packages, which take longer to compile than everything else here together.
func loki(data []byte, now time.Time) error {
	var v lokiValues
	if err := yaml.Unmarshal(data, &v); err != nil {
		return err
	}
	var part struct {
		AuthEnabled  *bool `json:"auth_enabled"`
		CommonConfig struct {
			ReplicationFactor int `json:"replication_factor"`
		}
		SchemaConfig struct{ Configs []lokiSchema }
		Compactor    json.RawMessage
		LimitsConfig json.RawMessage `json:"limits_config"`
	}
	if err := yaml.Unmarshal(v.Loki, &part); err != nil {
		return err
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var limits lokiLimits
	var compactor lokiCompactor
	if err := yaml.UnmarshalStrict(part.LimitsConfig, &limits); err != nil {
		fail("loki.limits_config: %w", err)
	}
	if err := yaml.UnmarshalStrict(part.Compactor, &compactor); err != nil {
		fail("loki.compactor: %w", err)
	}

	if v.DeploymentMode != "Monolithic" || v.SingleBinary.Replicas == nil || *v.SingleBinary.Replicas != 1 {
		fail("deploymentMode %q: one process is wanted, Monolithic with singleBinary.replicas 1 (the chart's default is 0)", v.DeploymentMode)
	}
	for name, r := range map[string]replicas{"read": v.Read, "write": v.Write, "backend": v.Backend} {
		if r.Replicas == nil || *r.Replicas != 0 {
			fail("%s.replicas is not 0: the chart would start that mode besides", name)
		}
	}
	for name, c := range map[string]*bool{"chunksCache": v.ChunksCache.Enabled, "resultsCache": v.ResultsCache.Enabled} {
		if c == nil || *c {
			fail("%s is on: it takes gigabytes by default", name)
		}
	}
	if part.AuthEnabled == nil || *part.AuthEnabled {
		fail("loki.auth_enabled is true, or left to the default: every client would need a tenant")
	}
	if part.CommonConfig.ReplicationFactor != 1 {
		fail("loki.commonConfig.replication_factor is %d: with one process nothing is written unless it is 1", part.CommonConfig.ReplicationFactor)
	}
	if limits.RetentionPeriod > 0 && (!compactor.RetentionEnabled || compactor.DeleteRequestStore == "") {
		fail("loki.limits_config.retention_period is set, but nothing is ever deleted without loki.compactor.retention_enabled and delete_request_store")
	}
	if len(part.SchemaConfig.Configs) == 0 {
		fail("loki.schemaConfig has no entry")
	}
	for i, s := range part.SchemaConfig.Configs {
		from, err := time.Parse(time.DateOnly, s.From)
		switch {
		case err != nil:
			fail("loki.schemaConfig.configs[%d].from: %w", i, err)
		case i == 0 && from.After(now):
			fail("loki.schemaConfig.configs[0].from %s is in the future: no schema holds today", s.From)
		}
		if s.Store != "tsdb" || s.Index.Period != "24h" {
			fail("loki.schemaConfig.configs[%d]: store %q with index.period %q, want tsdb with 24h: retention works with nothing else", i, s.Store, s.Index.Period)
		}
	}
	return errors.Join(errs...)
}

func TestLoki(t *testing.T) {
	var raw json.RawMessage
	values(t, "loki", &raw)
	if err := loki(raw, time.Now()); err != nil {
		t.Error(err)
	}

	// The label by which Loki keeps the audit log for a shorter time is one that Alloy sets.
	var v struct {
		Loki struct {
			LimitsConfig lokiLimits `json:"limits_config"`
		}
	}
	values(t, "loki", &v)
	for _, s := range v.Loki.LimitsConfig.RetentionStream {
		label, value, ok := strings.Cut(strings.Trim(s.Selector, "{}"), "=")
		if !ok {
			t.Errorf("retention_stream has selector %s, want {label=\"value\"}", s.Selector)
			continue
		}
		set := false
		for _, o := range objects(t) {
			set = set || strings.Contains(o.Object.Data["config.alloy"], label+" = "+value)
		}
		if !set {
			t.Errorf("retention_stream selects %s, but no config.alloy sets that label", s.Selector)
		}
	}
}

func TestInvalidLoki(t *testing.T) {
	for f, want := range invalid(t, ".loki.yaml") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			wantFound(t, loki(data, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)), want)
		})
	}
}
