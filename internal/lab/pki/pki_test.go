package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testCerts = []Cert{
	{Name: "server", User: "the-server", Hosts: []string{"kubernetes.default.svc"}, Server: true},
	{Name: "client", User: "system:serviceaccount:a:b", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:a"}, Client: true},
	{Name: "both", User: "etcd", Server: true, Client: true},
}

func ensure(t *testing.T) Dir {
	t.Helper()
	d, err := Ensure(filepath.Join(t.TempDir(), "pki"), testCerts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parseCert(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("%s is not one PEM block", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificates(t *testing.T) {
	d := ensure(t)
	ca := parseCert(t, d.CertFile("ca"))
	roots := x509.NewCertPool()
	roots.AddCert(ca)

	// What each certificate is good for, and what it is not good for.
	for name, tt := range map[string]struct {
		cert  string
		host  string
		usage x509.ExtKeyUsage
		err   string // part of the refusal; "" means that it verifies
	}{
		"server as localhost":    {"server", "localhost", x509.ExtKeyUsageServerAuth, ""},
		"server as 127.0.0.1":    {"server", "127.0.0.1", x509.ExtKeyUsageServerAuth, ""},
		"server as its host":     {"server", "kubernetes.default.svc", x509.ExtKeyUsageServerAuth, ""},
		"server as another host": {"server", "example.org", x509.ExtKeyUsageServerAuth, "not example.org"},
		"server as another IP":   {"server", "10.0.0.1", x509.ExtKeyUsageServerAuth, "not 10.0.0.1"},
		"server used as client":  {"server", "", x509.ExtKeyUsageClientAuth, "incompatible key usage"},
		"client":                 {"client", "", x509.ExtKeyUsageClientAuth, ""},
		"client used as server":  {"client", "", x509.ExtKeyUsageServerAuth, "incompatible key usage"},
		"client has no host":     {"client", "localhost", x509.ExtKeyUsageClientAuth, "not valid for any names"},
		"both as server":         {"both", "localhost", x509.ExtKeyUsageServerAuth, ""},
		"both as client":         {"both", "", x509.ExtKeyUsageClientAuth, ""},
		"other component's host": {"both", "kubernetes.default.svc", x509.ExtKeyUsageServerAuth, "not kubernetes.default.svc"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseCert(t, d.CertFile(tt.cert)).Verify(x509.VerifyOptions{
				Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.usage},
			})
			if tt.err == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}

	for _, c := range testCerts {
		x := parseCert(t, d.CertFile(c.Name))
		if diff := cmp.Diff(c.User, x.Subject.CommonName); diff != "" {
			t.Errorf("%s: common name (-want +got):\n%s", c.Name, diff)
		}
		if diff := cmp.Diff(c.Groups, x.Subject.Organization); diff != "" {
			t.Errorf("%s: organisations (-want +got):\n%s", c.Name, diff)
		}
		if x.IsCA || x.KeyUsage&x509.KeyUsageCertSign != 0 {
			t.Errorf("%s may sign other certificates", c.Name)
		}
		if left := time.Until(x.NotAfter); left < validity-time.Hour || left > validity {
			t.Errorf("%s is valid for %v, want %v", c.Name, left, validity)
		}
		if _, err := tls.LoadX509KeyPair(d.CertFile(c.Name), d.KeyFile(c.Name)); err != nil {
			t.Errorf("%s: certificate and key do not belong together: %v", c.Name, err)
		}
	}
	if !ca.IsCA || ca.Subject.CommonName != "lumacore lab" {
		t.Errorf("the authority is %v (CA: %v)", ca.Subject, ca.IsCA)
	}
}

// Another lab's authority is not trusted: two labs on a machine stay apart.
func TestOtherAuthority(t *testing.T) {
	a, b := ensure(t), ensure(t)
	roots := x509.NewCertPool()
	roots.AddCert(parseCert(t, a.CertFile("ca")))
	_, err := parseCert(t, b.CertFile("client")).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil || !strings.Contains(err.Error(), "signed by unknown authority") {
		t.Errorf("error %v, want: signed by unknown authority", err)
	}
}

func TestServiceAccountKeys(t *testing.T) {
	d := ensure(t)
	b, err := os.ReadFile(d.KeyFile("sa"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(filepath.Join(string(d), "sa.pub")); err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(b)
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(pub.(*ecdsa.PublicKey)) {
		t.Error("sa.pub is not the public half of sa.key")
	}
}

func TestModes(t *testing.T) {
	d := ensure(t)
	n := 0
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			n++
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", e.Name(), fi.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * (len(testCerts) + 2); n != want { // with ca.crt, ca.key, sa.key and sa.pub
		t.Errorf("%d files, want %d", n, want)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(string(d)), ".pki-*")); len(left) > 0 {
		t.Errorf("temporary folders are left: %v", left)
	}
}

func contents(t *testing.T, d Dir) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob(filepath.Join(string(d), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = string(b)
	}
	return all
}

func TestEnsureTwice(t *testing.T) {
	d := ensure(t)
	before := contents(t, d)
	again, err := Ensure(string(d), testCerts)
	if err != nil || again != d {
		t.Fatalf("second time: %v, %v", again, err)
	}
	if diff := cmp.Diff(before, contents(t, d)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

// Two at once end with one whole folder.
func TestEnsureAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Ensure(dir, testCerts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := tls.LoadX509KeyPair(Dir(dir).CertFile("both"), Dir(dir).KeyFile("both")); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v beside the folder, want nothing", entries, err)
	}
}

func TestEnsureDamaged(t *testing.T) {
	for _, missing := range []string{"ca.crt", "sa.key", "sa.pub", "server.crt", "client.key"} {
		t.Run("without "+missing, func(t *testing.T) {
			d := ensure(t)
			if err := os.Remove(filepath.Join(string(d), missing)); err != nil {
				t.Fatal(err)
			}
			before := contents(t, d)
			_, err := Ensure(string(d), testCerts)
			want := string(d) + " has no " + missing + ": it was made by another version of lumacore or is damaged"
			if err == nil || err.Error() != want {
				t.Errorf("error %v\nwant  %s", err, want)
			}
			if diff := cmp.Diff(before, contents(t, d)); diff != "" {
				t.Errorf("a damaged folder was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestEnsureUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure(filepath.Join(file, "lab", "pki"), testCerts)
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error %v, want: not a directory", err)
	}
}
