// Package gitlab holds the projects of a GitLab against what the owner's repository says
// about them: it reads how they are governed, plans what to change, and changes that.
//
// What is not declared is never changed and never deleted. What the licence of the GitLab
// does not have is left out, by name.
package gitlab

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// Bounds of what is taken from a GitLab.
const (
	maxBody  = 8 << 20          // bytes of one answer
	maxPages = 100              // of a list
	perPage  = 100              // the most that GitLab gives
	maxTries = 5                // of a request that may be repeated
	maxPause = 2 * time.Minute  // that is waited for when GitLab says so
	timeout  = 30 * time.Second // of one request
)

// Options say which GitLab, and how to get in.
type Options struct {
	URL    string // "https://gitlab.example.com", as [BaseURL] returns it
	Token  string
	CAFile string // PEM with certificates to trust besides those of the system; or ""

	// MirrorToken returns the token of a push mirror. It is called when one is made.
	MirrorToken func(config.GitLabMirror) (string, error)
	// Waiting is told that GitLab asks to wait; or nil.
	Waiting func(time.Duration)
}

// Server is a GitLab.
type Server struct {
	api         *gl.Client
	url         string
	mirrorToken func(config.GitLabMirror) (string, error)
	secrets     []string // that may stand in no message
}

// BaseURL returns the address of a GitLab from that of one of its repositories, such as
// https://gitlab.example.com/group/project.git. A GitLab below a path of its host cannot
// be told from a group: give its address itself.
func BaseURL(repository string) (string, error) {
	u, err := url.Parse(repository)
	if err != nil || u.Host == "" {
		return "", errors.New("it is no address of a repository")
	}
	return u.Scheme + "://" + u.Host, nil
}

// Connect prepares to talk to a GitLab; it sends nothing yet.
func Connect(o Options) (*Server, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, report.Misuse("write it as https://gitlab.example.com", "%q is no address of a GitLab", report.Clean(o.URL, 60))
	case u.User != nil:
		return nil, report.Misuse("leave it out, and change it if it was a password or token: it is in the history of your shell", "the address of GitLab has a user in it")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, report.Misuse("write https://; for a certificate of your own authority there is --ca-file", "%s is not encrypted: the token would be for everybody to read", o.URL)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, report.Misuse("write it as https://gitlab.example.com", "the address of GitLab has the scheme %q", report.Clean(u.Scheme, 60))
	}
	if o.Token == "" || strings.ContainsFunc(o.Token, func(c rune) bool { return c <= ' ' || c > '~' }) || len(o.Token) > 1000 {
		return nil, report.Misuse("give the token as GitLab showed it, without quotes or spaces", "this is no token of GitLab")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if o.CAFile != "" {
		pem, err := readBounded(o.CAFile)
		if err != nil {
			return nil, report.Misuse("name a file with the certificate of your authority, in PEM", "the certificates of --ca-file: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, report.Misuse("it must have at least one block BEGIN CERTIFICATE", "%s has no certificate", o.CAFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client := &http.Client{
		Transport: bounded{transport},
		Timeout:   timeout,
		// Go would take the token along to whatever host the answer names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s := &Server{url: strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(o.URL, "/"), "/api/v4"), "/"), mirrorToken: o.MirrorToken, secrets: []string{o.Token}}
	s.api, err = gl.NewClient(o.Token,
		gl.WithBaseURL(s.url), gl.WithHTTPClient(client), gl.WithUserAgent("lumacore"),
		gl.WithURLWarningLogger(slog.New(slog.DiscardHandler)), gl.WithCustomLeveledLogger(nil),
		gl.WithCustomRetry(repeat), gl.WithCustomRetryMax(maxTries-1),
		gl.WithCustomRetryWaitMinMax(250*time.Millisecond, 5*time.Second),
		gl.WithCustomBackoff(func(least, most time.Duration, n int, resp *http.Response) time.Duration {
			if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
				return min(retryablehttp.DefaultBackoff(least, most, n, resp), maxPause)
			}
			wait := max(pause(resp, time.Now()), least)
			if o.Waiting != nil {
				o.Waiting(wait)
			}
			return wait
		}),
	)
	if err != nil {
		return nil, report.Misuse("write it as https://gitlab.example.com", "the address of GitLab: %w", err)
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readBounded reads a small file.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20+1))
	if err == nil && len(data) > 1<<20 {
		err = fmt.Errorf("%s has more than 1 MiB", path)
	}
	return data, err
}

// repeatable in a context says that a write may be sent again: it does no harm twice.
type repeatable struct{}

// repeat decides whether a request is sent again: whatever is turned away for its number,
// after the pause that GitLab asks for; and what changes nothing, after an accident.
func repeat(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		return pause(resp, time.Now()) <= maxPause, nil
	}
	method := ""
	if resp != nil && resp.Request != nil {
		method = resp.Request.Method
	} else if failed, ok := errors.AsType[*url.Error](err); ok {
		method = failed.Op // "Get"
	}
	if !strings.EqualFold(method, http.MethodGet) && ctx.Value(repeatable{}) == nil {
		return false, nil
	}
	again, _ := retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	return again, nil
}

// pause is how long GitLab asks to wait. It says so in Retry-After, in seconds
// (https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers).
func pause(resp *http.Response, now time.Time) time.Duration {
	const most = 1 << 31 // keeps the product below from overflowing
	if n, err := strconv.ParseInt(resp.Header.Get("Retry-After"), 10, 64); err == nil && n >= 0 {
		return time.Duration(min(n, most)) * time.Second
	}
	if n, err := strconv.ParseInt(resp.Header.Get("RateLimit-Reset"), 10, 64); err == nil && n > 0 {
		return max(0, time.Unix(min(n, 1<<40), 0).Sub(now))
	}
	return time.Second
}

// bounded gives up on answers that are too long.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = fmt.Errorf("the answer has more than %d MiB", maxBody>>20)

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// all reads a list to its end.
func all[T any](s *Server, what string, page func(gl.ListOptions) ([]*T, *gl.Response, error)) ([]*T, error) {
	var out []*T
	for next := int64(1); next > 0; {
		if next > maxPages {
			return nil, report.Refuse("see what is there in GitLab's own interface", "read %s: GitLab has more than %d of them", what, maxPages*perPage)
		}
		items, resp, err := page(gl.ListOptions{Page: next, PerPage: perPage})
		if err != nil {
			return nil, s.explain("read "+what, resp, err)
		}
		out = append(out, there(items)...)
		if resp.NextPage != 0 && resp.NextPage <= next {
			return nil, report.Refuse("see that the address is GitLab's", "read %s: after page %d, GitLab names page %d as the next", what, next, resp.NextPage)
		}
		next = resp.NextPage
	}
	return out, nil
}

// there leaves out the nulls of a list.
func there[T any](items []*T) []*T {
	return slices.DeleteFunc(items, func(item *T) bool { return item == nil })
}

// some explains why there is no answer, or none with something in it.
func some[T any](s *Server, doing string, got *T, resp *gl.Response, err error) error {
	if err != nil {
		return s.explain(doing, resp, err)
	}
	if got == nil {
		return report.Refuse("see that the address is GitLab's", "%s: the answer is empty", doing)
	}
	return nil
}

// clean is a text of GitLab's for a message: short, in one line, without a secret.
func (s *Server) clean(text string) string {
	for _, secret := range s.secrets {
		// As it is, and as it stands in addresses.
		for _, form := range []string{secret, strings.TrimPrefix(url.UserPassword("", secret).String(), ":"), url.QueryEscape(secret), url.PathEscape(secret)} {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return report.Clean(strings.TrimSpace(text), 300)
}

const goesOn = "the same command goes on where this one stopped"

// explain says why a request failed, and what to do. resp may be nil.
func (s *Server) explain(doing string, resp *gl.Response, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if resp == nil || resp.Response == nil {
		return s.explainNone(doing, err)
	}
	var said string
	failed, _ := errors.AsType[*gl.ErrorResponse](err)
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if failed != nil {
		_ = json.Unmarshal(failed.Body, &oauth) // another form is as good
		message := strings.TrimPrefix(failed.Message, "failed to parse unknown error format: ")
		if inner, ok := strings.CutPrefix(message, "{message: "); ok { // how the client writes an object
			message = strings.TrimSuffix(inner, "}")
		}
		said = s.clean(cmp.Or(oauth.Description, message, http.StatusText(failed.StatusCode)))
	}
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized:
		return report.Refuse("make a token with the scope api in GitLab, under Edit profile, Access tokens, and set LUMACORE_GITLAB_TOKEN or --token-file to it",
			"%s: GitLab does not accept the token: %s", doing, said)
	case status == http.StatusForbidden && oauth.Error == "insufficient_scope":
		return report.Refuse("make a token with the scope api", "%s: the token's scopes are not enough: %s", doing, said)
	case status == http.StatusForbidden:
		return report.Refuse("give the account of the token the role Maintainer in the project (Owner for approvals, where GitLab is set so)",
			"%s: the account of the token may not: %s", doing, said)
	case status == http.StatusNotFound:
		return report.Refuse("compare the path with the project's address, and see that the account of the token is a member of it", "%s: GitLab does not find it, or hides it from the account of the token", doing)
	case status == http.StatusTooManyRequests:
		wait := pause(resp.Response, time.Now())
		return report.Refuse("run the same command after that; it goes on where this one stopped", "%s: GitLab's rate limit: it asks to wait for %s", doing, wait.Round(time.Second))
	case status >= 300 && status < 400:
		to, _ := url.Parse(resp.Header.Get("Location"))
		where := "elsewhere"
		if to != nil && to.Host != "" {
			where = "to " + s.clean(to.Host+to.Path)
		}
		return report.Refuse("give the address that is right with --url, or the project's new path", "%s: GitLab sends %s (status %d); the token is not taken along", doing, where, status)
	case status >= 500:
		return report.Refuse(goesOn+"; if GitLab keeps saying this, its own log says why", "%s: GitLab answers %d: %s", doing, status, said)
	case failed != nil:
		return report.Refuse("", "%w", &refusal{doing, status, said})
	}
	return report.Refuse("see that the address is GitLab's and not that of a page in front of it", "%s: the answer cannot be read: %s", doing, s.clean(err.Error()))
}

// refusal is a request that GitLab does not take for what is in it.
type refusal struct {
	doing  string
	status int
	said   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s: GitLab refuses it (status %d): %s", r.doing, r.status, r.said)
}

// explainNone says why there was no answer.
func (s *Server) explainNone(doing string, err error) error {
	next := "see that GitLab runs and that this machine reaches it; " + goesOn
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		next = "if GitLab's certificate is from an authority of your own, give that one's with --ca-file"
	case errors.As(err, &hostname):
		next = "give the address that stands in GitLab's certificate with --url"
	}
	return report.Refuse(next, "%s: %s", doing, s.clean(err.Error()))
}
