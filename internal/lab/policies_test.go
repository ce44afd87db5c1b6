package lab

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/lab/pki"
)

func TestForgetPolicies(t *testing.T) {
	l, _ := newLab(t)
	cert, err := pki.Ensure(l.path("pki"), certs())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert.CertFile("etcd"), cert.KeyFile("etcd"))
	if err != nil {
		t.Fatal(err)
	}
	s := settings{}
	if s.Ports, err = choosePorts(); err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", s.Ports.addr("etcd"))
	if err != nil {
		t.Fatal(err)
	}
	status, client := http.StatusOK, ""
	got := map[string][]byte{}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // for this test
		client = r.TLS.PeerCertificates[0].Subject.CommonName
		if r.Method != http.MethodPost || r.URL.Path != "/v3/kv/deleterange" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		http.Error(w, "no space", status)
	})}
	defer srv.Close()
	go func() {
		_ = srv.Serve(tls.NewListener(lis, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}))
	}()
	if err := l.forgetPolicies(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"key":       []byte("/registry/validatingadmissionpolicies/gatekeeper-"),
		"range_end": []byte("/registry/validatingadmissionpolicies/gatekeeper."),
	}
	if diff := cmp.Diff(want, got); diff != "" || client != "kube-apiserver" {
		t.Errorf("as %s (-want +got):\n%s", client, diff)
	}
	status = http.StatusInsufficientStorage
	if err := l.forgetPolicies(t.Context(), s); err == nil || !strings.HasSuffix(err.Error(), "507 Insufficient Storage: no space\n") {
		t.Errorf("error %v", err)
	}
}
