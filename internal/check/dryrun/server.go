package dryrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"lumacore.dev/lumacore/internal/report"
)

// server is an API server.
type server struct {
	host    string // as in messages
	client  *rest.RESTClient
	within  time.Duration // for an answer
	version string        // "1.36"; "" if it does not say

	mu    sync.RWMutex
	kinds map[schema.GroupVersionKind]resource
	// down are the APIs that the server has and could not describe: those of other
	// servers behind it.
	down map[schema.GroupVersion]bool
}

// resource is where objects of a kind are.
type resource struct {
	name       string // "deployments"
	namespaced bool
	made       bool // its CRD was created by this gate
}

// maxAnswer bounds what is read of an answer: an object has at most 1.5 MiB in etcd, an
// index of APIs is smaller.
const maxAnswer = 32 << 20

// connect asks the API server what it is and what it serves. The error says what is
// wrong with the way to it, and what to do.
func connect(ctx context.Context, config *rest.Config, within time.Duration) (*server, error) {
	config = rest.CopyConfig(config)
	// The server limits its clients itself, and fairly
	// (https://kubernetes.io/docs/concepts/cluster-administration/flow-control/).
	config.QPS, config.RateLimiter = -1, nil
	config.Timeout = within
	config.ContentConfig = rest.ContentConfig{NegotiatedSerializer: clientscheme.Codecs.WithoutConversion()}
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.UserAgent = "lumacore check"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return limited{next} })
	s := &server{host: hostOf(config.Host), within: within, kinds: map[schema.GroupVersionKind]resource{}, down: map[schema.GroupVersion]bool{}}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, s.unusable(err)
	}
	if s.client, err = rest.UnversionedRESTClientForConfigAndClient(config, httpClient); err != nil {
		return nil, s.unusable(err)
	}
	var info struct{ Major, Minor string }
	answer, err := s.do(ctx, s.client.Verb(http.MethodGet).AbsPath("/version"))
	switch {
	case apierrors.IsForbidden(err): // then it does not say
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(answer, &info); err != nil {
			return nil, s.unusable(fmt.Errorf("what it answers at /version is not that of an API server: %w", err))
		}
		if minor := strings.TrimRight(info.Minor, "+"); info.Major != "" && minor != "" {
			s.version = info.Major + "." + minor
		}
	}
	return s, s.discover(ctx, config, httpClient)
}

// limited is a transport whose answers have an end.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// WrappedRoundTripper lets client-go reach what is below.
func (l limited) WrappedRoundTripper() http.RoundTripper { return l.next }

// hostOf returns the address of a server without anything secret that may be in it.
func hostOf(host string) string {
	u, err := url.Parse(host)
	if err != nil || u.Host == "" {
		return "the API server"
	}
	return u.Scheme + "://" + u.Host
}

// discover learns what the server serves.
func (s *server) discover(ctx context.Context, config *rest.Config, httpClient *http.Client) error {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(config, httpClient)
	if err != nil {
		return s.unusable(err)
	}
	type found struct {
		lists []*metav1.APIResourceList
		err   error
	}
	answer := make(chan found, 1)
	go func() { // it takes no context; the time limit of the client ends it
		_, lists, err := d.ServerGroupsAndResources()
		answer <- found{lists, err}
	}()
	var f found
	select {
	case f = <-answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	if failed, ok := errors.AsType[*discovery.ErrGroupDiscoveryFailed](f.err); ok {
		for gv := range failed.Groups {
			s.down[gv] = true
		}
	} else if f.err != nil {
		return s.wrong(f.err)
	}
	for _, list := range f.lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") {
				s.kinds[gv.WithKind(r.Kind)] = resource{name: r.Name, namespaced: r.Namespaced}
			}
		}
	}
	return nil
}

// serves tells where objects of a kind are.
func (s *server) serves(gvk schema.GroupVersionKind) (resource, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.kinds[gvk]
	return r, ok
}

// request is one thing to have tried, or done.
type request struct {
	object  *unstructured.Unstructured
	manager string // field manager
	as      *user  // on whose behalf; nil: who the config says
	create  bool   // a POST instead of an apply
	real    bool   // without dry run
}

// user is somebody whom the API server knows.
type user struct {
	name   string
	groups []string
}

// send sends an object, and returns what the server warns of. The error is what it has
// against the object (an [apierrors.APIStatus]), or a failure of the way to it.
func (s *server) send(ctx context.Context, at resource, r request) ([]string, error) {
	o := sent(r.object)
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	gv := o.GroupVersionKind().GroupVersion()
	path := []string{"/apis", gv.Group, gv.Version}
	if gv.Group == "" {
		path = []string{"/api", gv.Version}
	}
	if at.namespaced {
		path = append(path, "namespaces", o.GetNamespace())
	}
	path = append(path, at.name)
	verb := http.MethodPost
	if !r.create {
		verb = http.MethodPatch
		path = append(path, o.GetName())
	}
	var said warnings
	// Made anew for each attempt: a request is used up.
	attempt := func() error {
		said = warnings{}
		req := s.client.Verb(verb).AbsPath(path...).Param("fieldManager", r.manager).Body(data).WarningHandlerWithContext(&said)
		if r.create {
			req.SetHeader("Content-Type", "application/json")
		} else {
			req.SetHeader("Content-Type", string(types.ApplyPatchType)).Param("force", "true")
		}
		if !r.real {
			req.Param("dryRun", metav1.DryRunAll)
		}
		if r.as != nil {
			req.SetHeader("Impersonate-User", r.as.name).SetHeader("Impersonate-Group", r.as.groups...)
		}
		_, err := s.do(ctx, req)
		return err
	}
	err = attempt()
	for n := 0; n < 20 && again(at, err); n++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		err = attempt()
	}
	return said.texts, err
}

// again tells whether the answer will soon be another: somebody changed the object
// meanwhile, or a new API is not served yet.
func again(at resource, err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return false
	}
	st := status.Status()
	return st.Reason == metav1.StatusReasonConflict ||
		at.made && st.Reason == metav1.StatusReasonNotFound && (st.Details == nil || st.Details.Name == "" || st.Details.Kind == "")
}

// sent returns an object as Flux sends it
// (https://github.com/fluxcd/pkg/blob/main/ssa/normalize/normalize.go).
func sent(o *unstructured.Unstructured) *unstructured.Unstructured {
	_, hasStatus := o.Object["status"]
	metadata, _ := o.Object["metadata"].(map[string]any)
	_, hasTime := metadata["creationTimestamp"]
	if !hasStatus && !hasTime {
		return o
	}
	o = o.DeepCopy()
	delete(o.Object, "status")
	unstructured.RemoveNestedField(o.Object, "metadata", "creationTimestamp")
	return o
}

// get reads an object, or a list.
func (s *server) get(ctx context.Context, path string, into any) error {
	answer, err := s.do(ctx, s.client.Verb(http.MethodGet).AbsPath(path))
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// do sends a request, within the time for an answer. What the server itself says is
// returned as it is.
func (s *server) do(ctx context.Context, r *rest.Request) ([]byte, error) {
	own, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	// client-go would log what is returned here, too.
	result := r.MaxRetries(2).Do(klog.NewContext(own, logr.Discard()))
	err := result.Error()
	answer, _ := result.Raw()
	if err == nil {
		return answer, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return answer, s.wrong(err)
}

// wrong tells the server's own answers, which it returns, from what is wrong with the
// way to it, or with the credentials.
func (s *server) wrong(err error) error {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		st := status.Status()
		switch {
		case st.Code == http.StatusUnauthorized:
			return s.unusable(fmt.Errorf("it does not accept the credentials (401 Unauthorized)"))
		case st.Code == http.StatusTooManyRequests:
			return s.unusable(fmt.Errorf("it is overloaded (429 Too Many Requests)"))
		}
		return err
	}
	return s.unusable(err)
}

// unusable is the error of a server that nothing can be asked.
func (s *server) unusable(err error) error {
	why, next := "", "see whether `kubectl version` reaches it with the same kubeconfig and context"
	var netErr net.Error
	var tooLarge *http.MaxBytesError
	text := err.Error()
	switch {
	case errors.As(err, new(*url.Error)):
		var u *url.Error
		errors.As(err, &u)
		text = u.Err.Error() // without the address, which hostOf has cleaned
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout(), strings.Contains(text, "Client.Timeout"):
		why = fmt.Sprintf("it has not answered within %s", s.within)
	case errors.As(err, &tooLarge):
		why = fmt.Sprintf("its answer is larger than %d MiB", maxAnswer>>20)
	case strings.Contains(text, "x509:"), strings.Contains(text, "tls:"):
		why, next = "its certificate or the client's is not accepted: "+text, "look at certificate-authority-data and client-certificate-data in the kubeconfig; they may have expired"
	case strings.Contains(text, "Unauthorized"):
		why, next = text, "renew the credentials in the kubeconfig; `kubectl auth whoami` tries them"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		why = "it closed the connection"
	default:
		why = text
	}
	return report.Misuse(next, "the API server %s cannot be used: %s", s.host, why)
}

// warnings collects what the server warns of in one answer.
type warnings struct{ texts []string }

// HandleWarningHeaderWithContext takes one.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != "" { // https://kubernetes.io/blog/2020/09/03/warnings/
		w.texts = append(w.texts, text)
	}
}
