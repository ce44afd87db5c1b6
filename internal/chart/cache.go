package chart

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// cache is the folder of what was downloaded:
//
//	blobs/<sha256>      content
//	refs/<sha256>.json  what a reference last led to; named by the reference
//
// Files are written beside their place and renamed, and verified when they are
// read: what does not verify is as if it were not there.
type cache struct{ dir string }

// resolved is what a reference led to.
type resolved struct {
	Ref      string `json:"ref"`                // the reference itself, since the file's name is a hash of it
	Blob     string `json:"blob"`               // SHA-256 of the content, hexadecimal
	Revision string `json:"revision,omitempty"` // what the source calls it: "1.2.3@sha256:…", a commit
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// blob returns the content with the given SHA-256, if the cache has it whole.
func (c cache) blob(sha string) ([]byte, bool) {
	if len(sha) != hex.EncodedLen(sha256.Size) || strings.Trim(sha, "0123456789abcdef") != "" {
		return nil, false
	}
	f, err := os.Open(filepath.Join(c.dir, "blobs", sha))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxUnpacked+1))
	if err != nil || sum(data) != sha {
		return nil, false
	}
	return data, true
}

// addBlob keeps content and returns its SHA-256.
func (c cache) addBlob(data []byte) (string, error) {
	sha := sum(data)
	return sha, c.write(filepath.Join("blobs", sha), data)
}

func refFile(ref string) string { return filepath.Join("refs", sum([]byte(ref))+".json") }

// lookup returns what the reference last led to, with its content.
func (c cache) lookup(ref string) (r resolved, data []byte, ok bool) {
	f, err := os.Open(filepath.Join(c.dir, refFile(ref)))
	if err != nil {
		return r, nil, false
	}
	defer f.Close()
	if json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&r) != nil || r.Ref != ref {
		return resolved{}, nil, false
	}
	data, ok = c.blob(r.Blob)
	return r, data, ok
}

// keep keeps content, and that the reference leads to it.
func (c cache) keep(ref, revision string, data []byte) error {
	sha, err := c.addBlob(data)
	if err != nil {
		return err
	}
	out, err := json.Marshal(resolved{Ref: ref, Blob: sha, Revision: revision})
	if err != nil {
		return err
	}
	return c.write(refFile(ref), append(out, '\n'))
}

func (c cache) write(name string, data []byte) error {
	name = filepath.Join(c.dir, name)
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	// Charts of private registries are nobody else's business.
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return report.WriteFile(name, data, 0o600)
}
