package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// Namespace is where a cluster keeps evidence.
const Namespace = "lumacore-system"

// Label is on each ConfigMap with evidence; its value is the kind.
const Label = "lumacore.dev/evidence"

// key of a ConfigMap's data.
const key = "history.json"

// ConfigMaps keeps records as ConfigMaps, one per kind and subject. What it needs: get and
// update; create for a subject that has none yet; list to list.
type ConfigMaps struct {
	Client    kubernetes.Interface
	Namespace string // [Namespace]
}

// Name is the name of the ConfigMap of a kind and subject: "evidence-mirror-sync". A subject
// with other characters than letters, digits and dashes gets a digest behind it, so that no
// two have the same.
func Name(kind Kind, subject string) string {
	plain := strings.NewReplacer("/", "-", ".", "-", "_", "-").Replace(subject)
	name := "evidence-" + string(kind) + "-" + plain
	if plain != subject {
		sum := sha256.Sum256([]byte(subject))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// Add keeps a record. Whoever else writes at the same time loses nothing.
func (c ConfigMaps) Add(ctx context.Context, r Record) error {
	r, err := r.normal()
	if err != nil {
		return err
	}
	client, name := c.Client.CoreV1().ConfigMaps(c.Namespace), Name(r.Kind, r.Subject)
	again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultBackoff, again, func() error {
		m, err := client.Get(ctx, name, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return err
		}
		if missing {
			m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
		}
		h, err := parse(r.Kind, r.Subject, []byte(m.Data[key]))
		if err != nil {
			return fmt.Errorf("it is damaged: %w; delete its data, and the next record begins anew", err)
		}
		h.add(r)
		data, err := h.json()
		if err != nil {
			return err
		}
		m.Data = maps.Clone(m.Data)
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		m.Data[key] = string(data)
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[Label] = string(r.Kind)
		if missing {
			_, err = client.Create(ctx, m, metav1.CreateOptions{})
		} else {
			_, err = client.Update(ctx, m, metav1.UpdateOptions{})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("evidence: ConfigMap %s/%s: %w", c.Namespace, name, err)
	}
	return nil
}

// List returns everything that is kept, by kind and subject. A ConfigMap that is there for a
// subject without any record yet is left out.
func (c ConfigMaps) List(ctx context.Context) ([]*History, error) {
	all, err := c.Client.CoreV1().ConfigMaps(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: Label, Limit: maxEntries})
	if err != nil {
		return nil, fmt.Errorf("evidence: ConfigMaps of namespace %s: %w", c.Namespace, err)
	}
	if all.Continue != "" {
		return nil, fmt.Errorf("evidence: namespace %s has more than %d subjects, which are the most", c.Namespace, maxEntries)
	}
	var list []*History
	for _, m := range all.Items {
		if m.Data[key] == "" {
			continue
		}
		h, err := parse("", "", []byte(m.Data[key]))
		if err == nil && Name(h.Kind, h.Subject) != m.Name {
			err = fmt.Errorf("it is about %s %s", h.Kind, h.Subject)
		}
		if err != nil {
			return nil, fmt.Errorf("evidence: ConfigMap %s/%s is damaged: %w; delete its data, and the next record begins anew", c.Namespace, m.Name, err)
		}
		list = append(list, h)
	}
	return sorted(list), nil
}
