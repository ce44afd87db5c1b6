package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExpires(t *testing.T) {
	d, err := Ensure(filepath.Join(t.TempDir(), "pki"), []Cert{{Name: "admin", User: "admin", Client: true}})
	if err != nil {
		t.Fatal(err)
	}
	until, err := d.Expires()
	if err != nil || until.Before(time.Now().Add(validity-time.Hour)) {
		t.Errorf("valid until %v (%v), want %s from now", until, err, validity)
	}
	if err := os.WriteFile(d.CertFile("ca"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Expires(); err == nil || !strings.Contains(err.Error(), "ca.crt is not a certificate") {
		t.Errorf("a damaged certificate: %v", err)
	}
}
