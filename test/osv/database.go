// Package osv makes databases for OSV-Scanner, in the form in which it keeps a copy of
// osv.dev for use without internet (https://google.github.io/osv-scanner/usage/offline-mode/).
package osv

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Advisory is a vulnerability of one package, from its first version on.
type Advisory struct {
	ID      string // such as OSV-2026-1
	Package string
	Fixed   string // the first version without it; none if empty
}

// Write makes a database in a folder, with the advisories of one ecosystem ("npm", "Go"), and
// returns the options with which OSV-Scanner reads it and nothing else.
func Write(folder, ecosystem string, advisories ...Advisory) (options string, err error) {
	dir := filepath.Join(folder, "osv-scalibr", ecosystem)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(dir, "all.zip"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	archive := zip.NewWriter(f)
	for _, a := range advisories {
		events := []map[string]string{{"introduced": "0"}}
		if a.Fixed != "" {
			events = append(events, map[string]string{"fixed": a.Fixed})
		}
		w, err := archive.Create(a.ID + ".json")
		if err != nil {
			return "", err
		}
		// https://ossf.github.io/osv-schema/
		if err := json.NewEncoder(w).Encode(map[string]any{
			"schema_version": "1.6.0",
			"id":             a.ID,
			"modified":       "2026-01-01T00:00:00Z",
			"published":      "2026-01-01T00:00:00Z",
			"summary":        "made up for a test",
			"affected": []any{map[string]any{
				"package": map[string]string{"ecosystem": ecosystem, "name": a.Package},
				"ranges":  []any{map[string]any{"type": "SEMVER", "events": events}},
			}},
		}); err != nil {
			return "", err
		}
	}
	if err := archive.Close(); err != nil {
		return "", err
	}
	return fmt.Sprintf("--offline --local-db-path %s", folder), f.Close()
}
