// Package pki makes the certificates of a lab: one certificate authority of its
// own, server certificates for loopback, client certificates for every
// component, and the key that signs ServiceAccount tokens.
//
// The authority's key stays in the lab's directory (0600) and is trusted by
// nothing but the lab.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// validity of all certificates. A lab that is older is made anew by
// `lab down --purge`; `lab doctor` says so.
const validity = 5 * 365 * 24 * time.Hour

// Cert is what a certificate is for.
type Cert struct {
	Name   string   // file name without extension
	User   string   // common name: the Kubernetes user of a client certificate
	Groups []string // organisations: the Kubernetes groups
	Hosts  []string // DNS names of a server certificate, beside localhost and 127.0.0.1
	Server bool
	Client bool
}

// Dir is a folder of PEM files: NAME.crt and NAME.key, ca.crt and ca.key, and
// sa.key and sa.pub.
type Dir string

// CertFile returns the path of a certificate.
func (d Dir) CertFile(name string) string { return filepath.Join(string(d), name+".crt") }

// KeyFile returns the path of a private key.
func (d Dir) KeyFile(name string) string { return filepath.Join(string(d), name+".key") }

// PublicKeyFile returns the path of the public half of a key that has no certificate.
func (d Dir) PublicKeyFile(name string) string { return filepath.Join(string(d), name+".pub") }

// HTTPClient returns a client that trusts this authority alone and shows the client
// certificate of a name. It keeps no connection. What is missing is missing in it.
func (d Dir) HTTPClient(name string) *http.Client {
	pool := x509.NewCertPool()
	if b, err := os.ReadFile(d.CertFile("ca")); err == nil {
		pool.AppendCertsFromPEM(b)
	}
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if pair, err := tls.LoadX509KeyPair(d.CertFile(name), d.KeyFile(name)); err == nil {
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
}

// Expires returns when the certificates end; all are made together.
func (d Dir) Expires() (time.Time, error) {
	b, err := os.ReadFile(d.CertFile("ca"))
	if err != nil {
		return time.Time{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return time.Time{}, fmt.Errorf("%s is not a certificate", d.CertFile("ca"))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", d.CertFile("ca"), err)
	}
	return cert.NotAfter, nil
}

// Ensure makes the folder with all certificates if it is not there. It is made
// beside its place and renamed, so it is whole or absent.
func Ensure(dir string, certs []Cert) (Dir, error) {
	d := Dir(dir)
	if missing := d.missing(certs); missing == "" {
		return d, nil
	} else if _, err := os.Stat(dir); err == nil {
		return "", fmt.Errorf("%s has no %s: it was made by another version of lumacore or is damaged", dir, missing)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".pki-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := issue(Dir(tmp), certs); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && d.missing(certs) != "" {
		return "", err
	}
	return d, nil
}

func (d Dir) missing(certs []Cert) string {
	files := []string{d.CertFile("ca"), d.KeyFile("sa"), d.PublicKeyFile("sa")}
	for _, c := range certs {
		files = append(files, d.CertFile(c.Name), d.KeyFile(c.Name))
	}
	for _, f := range files {
		if _, err := os.Stat(f); err != nil {
			return filepath.Base(f)
		}
	}
	return ""
}

func issue(d Dir, certs []Cert) error {
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "lumacore lab"},
		NotBefore:    now.Add(-time.Minute), NotAfter: now.Add(validity),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return err
	}
	if err := errors.Join(d.writeCert("ca", caDER), d.writeKey("ca", caKey)); err != nil {
		return err
	}
	for _, c := range certs {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			return err
		}
		t := &x509.Certificate{
			SerialNumber: serial,
			Subject:      pkix.Name{CommonName: c.User, Organization: c.Groups},
			NotBefore:    now.Add(-time.Minute), NotAfter: now.Add(validity),
			KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if c.Server {
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
			t.DNSNames = append([]string{"localhost"}, c.Hosts...)
			t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		if c.Client {
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}
		der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		if err := errors.Join(d.writeCert(c.Name, der), d.writeKey(c.Name, key)); err != nil {
			return err
		}
	}
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(sa.Public())
	if err != nil {
		return err
	}
	return errors.Join(d.writeKey("sa", sa),
		os.WriteFile(d.PublicKeyFile("sa"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600))
}

func (d Dir) writeCert(name string, der []byte) error {
	return os.WriteFile(d.CertFile(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func (d Dir) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(d.KeyFile(name), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
