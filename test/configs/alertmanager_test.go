package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// stackValues are the values of kube-prometheus-stack that are looked at here.
type stackValues struct {
	Alertmanager struct {
		Config           json.RawMessage
		AlertmanagerSpec struct{ Secrets []string }
	}
}

// mountedBelow is where the operator mounts alertmanagerSpec.secrets.
const mountedBelow = "/etc/alertmanager/secrets"

// alertmanager loads a configuration as Alertmanager does, and looks at what it does not:
// that each file with a secret is one of a Secret that is mounted, and that the messages
// come to something. It returns the messages by receiver.
func alertmanager(text string, secrets []string) (*config.Config, map[string]string, error) {
	// Strict: without it, what is no matcher is read as one of old, so that
	// "severity == critical" asks for the value "= critical".
	flags, err := featurecontrol.NewFlags(slog.New(slog.DiscardHandler), featurecontrol.FeatureUTF8StrictMode)
	if err != nil {
		return nil, nil, err
	}
	compat.InitFromFlags(slog.New(slog.DiscardHandler), flags)
	c, err := config.Load(text)
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	messages := map[string]string{}
	for _, r := range c.Receivers {
		for _, d := range r.DiscordConfigs {
			if d.WebhookURLFile == "" {
				errs = append(errs, fmt.Errorf("receiver %s: the webhook is a secret and must come from a file, webhook_url_file", r.Name))
			} else if dir, _ := path.Split(d.WebhookURLFile); path.Dir(path.Clean(dir)) != mountedBelow || !slices.Contains(secrets, path.Base(dir)) {
				errs = append(errs, fmt.Errorf("receiver %s: webhook_url_file %s is not in a Secret of alertmanagerSpec.secrets (%s)", r.Name, d.WebhookURLFile, strings.Join(secrets, ", ")))
			}
			message, err := message(d.Title + "\n" + d.Message)
			if err != nil {
				errs = append(errs, fmt.Errorf("receiver %s: %w", r.Name, err))
			}
			messages[r.Name] = message
		}
	}
	return c, messages, errors.Join(errs...)
}

// message executes a template of a message as a notifier does, for two alerts.
func message(text string) (string, error) {
	t, err := template.FromGlobs(nil)
	if err != nil {
		return "", err
	}
	t.ExternalURL = &url.URL{Scheme: "http", Host: "alertmanager"}
	alert := func(pod string) template.Alert {
		return template.Alert{
			Status: "firing", Labels: template.KV{"pod": pod},
			Annotations: template.KV{"summary": "Pod " + pod + " fails.", "description": "Since noon.", "runbook_url": "https://docs.example.org/alerts/#podfails"},
		}
	}
	return t.ExecuteTextString(text, &template.Data{
		Status: "firing", Alerts: template.Alerts{alert("a"), alert("b")},
		CommonLabels: template.KV{"alertname": "PodFails", "severity": "warning", "namespace": "apps"},
		GroupLabels:  template.KV{"alertname": "PodFails", "namespace": "apps"},
	})
}

func TestAlertmanager(t *testing.T) {
	var v stackValues
	values(t, "kube-prometheus-stack", &v)
	text, err := yaml.JSONToYAML(v.Alertmanager.Config)
	if err != nil {
		t.Fatal(err)
	}
	c, messages, err := alertmanager(string(text), v.Alertmanager.AlertmanagerSpec.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	for receiver, m := range messages {
		if want := []string{"FIRING", "2", "warning", "PodFails", "Pod a fails.", "Pod b fails.", "Since noon.\nhttps://docs.example.org/alerts/#podfails\n"}; slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(m, s) }) {
			t.Errorf("a message of receiver %s lacks one of %q:\n%s", receiver, want, m)
		}
	}

	// Where an alert goes, and with which others in one message.
	root := dispatch.NewRoute(c.Route, nil)
	for _, tt := range []struct {
		alert    string
		severity string
		want     string
	}{
		{"PodRestartsAgainAndAgain", "critical", "discord"},
		{"PodRestartsAgainAndAgain", "warning", "discord"},
		{"PodRestartsAgainAndAgain", "info", "discord"},
		{"Watchdog", "none", "null"},
		{"InfoInhibitor", "none", "null"},
	} {
		t.Run(tt.alert+" "+tt.severity, func(t *testing.T) {
			routes := root.Match(model.LabelSet{"alertname": model.LabelValue(tt.alert), "severity": model.LabelValue(tt.severity)})
			if len(routes) != 1 || routes[0].RouteOpts.Receiver != tt.want {
				t.Fatalf("goes to %v, want receiver %s", routes, tt.want)
			}
			if _, ok := routes[0].RouteOpts.GroupBy["namespace"]; !ok && tt.want != "null" {
				t.Errorf("is grouped by %v, want one message per namespace", routes[0].RouteOpts.GroupBy)
			}
		})
	}

	// Each mounted Secret is made by an item of 1Password.
	for _, s := range v.Alertmanager.AlertmanagerSpec.Secrets {
		if !slices.ContainsFunc(objects(t), func(o object) bool { return o.is("OnePasswordItem", "monitoring", s) }) {
			t.Errorf("alertmanagerSpec.secrets names %s, but no OnePasswordItem monitoring/%s makes it: Alertmanager would not start", s, s)
		}
	}
}

func TestInvalidAlertmanager(t *testing.T) {
	for f, want := range invalid(t, ".alertmanager.yaml") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = alertmanager(string(data), []string{"alertmanager-discord"})
			wantFound(t, err, want)
		})
	}
}
