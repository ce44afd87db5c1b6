package policy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
)

// Bounds of what a provider may say and take.
const (
	maxAnswer       = 1 << 20 // bytes
	maxProviderTime = 10 * time.Second
)

// providers answer for the external data providers of a cluster
// (https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata/).
//
// Gatekeeper's engine asks providers itself, over TLS, and gives policies whatever
// comes back; a policy cannot be trusted to tell a provider that does not answer from
// one that says no. So the engine is told that all providers are here: a server on the
// loopback interface, which answers from recorded files or passes the question on, and
// notes what got no answer.
type providers struct {
	cache    *externaldata.ProviderCache
	answer   map[string]source // by provider
	server   *http.Server
	listener net.Listener

	mu       sync.Mutex
	failures []string
	silent   map[string]bool // providers that did not answer: they are not asked again
}

// source answers a provider's questions. The error says why there is no answer.
type source func(ctx context.Context, keys []string) (externaldata.Response, error)

// startProviders starts what answers, if the cluster has a provider.
func startProviders(ctx context.Context, r *reviewer) (*providers, error) {
	p := &providers{cache: externaldata.NewCache(), answer: map[string]source{}, silent: map[string]bool{}}
	objects := r.c.Of(groupData, "Provider")
	configured := map[string]config.Provider{}
	for _, c := range r.in.Config.Check.Policy.Providers {
		configured[c.Name] = c
	}
	for _, o := range objects {
		c, ok := configured[o.GetName()]
		switch {
		case !ok:
		case c.Answers != "":
			answers, err := r.in.Config.ReadAnswers(r.in.Tree, c)
			if err != nil {
				var bad *config.AnswersError
				if errors.As(err, &bad) {
					r.out.File("policy/answers-invalid", bad.Location, "the answers of provider %s cannot be read: %s", c.Name, bad.Reason)
					continue
				}
				return nil, err
			}
			p.answer[c.Name] = recorded(answers)
		case c.Live && !r.in.Offline:
			ask, err := live(o)
			if err != nil {
				r.unchecked(o, "", "it cannot be asked: %s", err)
				continue
			}
			p.answer[c.Name] = ask
		}
	}
	if len(objects) == 0 || len(p.answer) == 0 {
		return p, nil
	}
	bundle, err := p.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the server for external data: %w", err)
	}
	for _, o := range objects {
		err := p.cache.Upsert(&unversioned.Provider{
			ObjectMeta: metav1.ObjectMeta{Name: o.GetName()},
			Spec: unversioned.ProviderSpec{
				URL:     "https://" + p.listener.Addr().String() + "/" + url.PathEscape(o.GetName()),
				Timeout: int(maxProviderTime/time.Second) + 5, CABundle: bundle,
			},
		})
		if err != nil {
			r.unchecked(o, "", "Gatekeeper does not take this provider: %s", oneLine(err.Error()))
		}
	}
	return p, nil
}

// args are what the engine needs to ask.
func (p *providers) args() []rego.Arg {
	return []rego.Arg{rego.AddExternalDataProviderCache(p.cache)}
}

// none tells whether no provider can answer.
func (p *providers) none() bool { return len(p.answer) == 0 }

// failed tells whether a question got no answer.
func (p *providers) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.failures) > 0
}

// why says what got no answer.
func (p *providers) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Compact(slices.Sorted(slices.Values(p.failures)))
	const most = 3
	if n := len(list); n > most {
		list = append(list[:most:most], fmt.Sprintf("and %d more", n-most))
	}
	return "an external data provider gave no answer: " + strings.Join(list, "; ")
}

func (p *providers) next() string {
	return "name the provider in " + config.File + " under check.policy.providers, with recorded answers or live: true"
}

// fail notes that a provider gave no answer. One that is slow or away is not asked
// again: hundreds of objects would wait for it one after another.
func (p *providers) fail(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var unknown noAnswer
	p.silent[name] = !errors.As(err, &unknown)
	p.failures = append(p.failures, oneLine(fmt.Sprintf("provider %s: %s", name, err)))
}

// noAnswer is the error of a key that was not recorded.
type noAnswer string

func (e noAnswer) Error() string { return fmt.Sprintf("no answer is recorded for %q", string(e)) }

// listen starts the server and returns its certificate, as a Provider's caBundle. The
// key lives as long as the run does.
func (p *providers) listen(ctx context.Context) (bundle string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	p.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), // the engine says what goes wrong
		Handler:  http.HandlerFunc(p.serve), ReadHeaderTimeout: maxProviderTime, ReadTimeout: maxProviderTime,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
	}
	go p.server.ServeTLS(p.listener, "", "") // ends when it is closed
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func (p *providers) stop() {
	if p.server != nil {
		p.server.Close()
	}
}

// serve answers a question of the engine.
func (p *providers) serve(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	var asked externaldata.ProviderRequest
	if err := json.NewDecoder(io.LimitReader(req.Body, maxAnswer)).Decode(&asked); err != nil {
		http.Error(w, "no ProviderRequest", http.StatusBadRequest)
		return
	}
	resp := externaldata.Response{SystemError: "no answer"}
	p.mu.Lock()
	ask, silent := p.answer[name], p.silent[name]
	p.mu.Unlock()
	switch {
	case silent:
	case ask == nil:
		p.fail(name, errors.New("it is not configured"))
	default:
		got, err := ask(req.Context(), asked.Request.Keys)
		if err != nil {
			p.fail(name, err)
			break
		}
		resp = got
	}
	_ = json.NewEncoder(w).Encode(externaldata.ProviderResponse{APIVersion: asked.APIVersion, Kind: "ProviderResponse", Response: resp}) // else the engine says so
}

// recorded answers from a file.
func recorded(answers map[string]config.Answer) source {
	return func(_ context.Context, keys []string) (externaldata.Response, error) {
		var resp externaldata.Response
		for _, key := range keys {
			a, ok := answers[key]
			if !ok {
				return resp, noAnswer(key)
			}
			resp.Items = append(resp.Items, externaldata.Item{Key: key, Value: a.Value, Error: a.Error})
		}
		return resp, nil
	}
}

// live asks the provider at its own address, with the certificates that it names.
func live(o *render.Object) (source, error) {
	address, _, _ := unstructured.NestedString(o.Object, "spec", "url")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("spec.url %q is no https address", address)
	}
	bundle, _, _ := unstructured.NestedString(o.Object, "spec", "caBundle")
	data, err := base64.StdEncoding.DecodeString(bundle)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("spec.caBundle is no certificate in PEM, in base64")
	}
	limit := maxProviderTime
	if n, ok, _ := unstructured.NestedInt64(o.Object, "spec", "timeout"); ok && n > 0 {
		limit = min(limit, time.Duration(n)*time.Second)
	}
	client := &http.Client{Timeout: limit, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}}}
	return func(ctx context.Context, keys []string) (externaldata.Response, error) {
		var none externaldata.Response
		body, err := json.Marshal(externaldata.NewProviderRequest(keys))
		if err != nil {
			return none, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
		if err != nil {
			return none, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return none, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return none, fmt.Errorf("%s answers %s", u.Host, resp.Status)
		}
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return none, err
		}
		if len(data) > maxAnswer {
			return none, fmt.Errorf("%s answers with more than %d KiB", u.Host, maxAnswer>>10)
		}
		var out externaldata.ProviderResponse
		if err := json.Unmarshal(data, &out); err != nil {
			return none, fmt.Errorf("%s answers with no ProviderResponse", u.Host)
		}
		if out.Response.SystemError != "" {
			return none, fmt.Errorf("%s: %s", u.Host, out.Response.SystemError)
		}
		return out.Response, nil
	}, nil
}
