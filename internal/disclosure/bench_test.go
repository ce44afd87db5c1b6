package disclosure_test

import (
	"fmt"
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/leaks"
)

// BenchmarkFile searches a file of the kind that a repository has most of.
func BenchmarkFile(b *testing.B) {
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	var text strings.Builder
	for i := range 3 {
		fmt.Fprintf(&text, `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[1]d
  labels:
    app.kubernetes.io/name: app-%[1]d
spec:
  template:
    spec:
      containers:
        - name: app
          image: ghcr.io/example/app-%[1]d:1.2.0@sha256:%[2]s
          env:
            - name: LISTEN
              value: 0.0.0.0:8080 # on all of its addresses
            - name: DATABASE
              value: postgres.app-%[1]d.svc.cluster.local
          resources:
            requests: {cpu: 10m, memory: 64Mi}
---
`, i, strings.Repeat("3f9a", 16))
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if found, err := s.File(b.Context(), "apps/web/deployment.yaml", data); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
}
