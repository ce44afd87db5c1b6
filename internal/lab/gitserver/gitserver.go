// Package gitserver serves Git repositories over smart HTTP with git's own
// http-backend. Reading is open to whoever reaches the listener (the lab listens
// on loopback); pushing needs the credential.
package gitserver

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"slices"
	"strings"
)

// maxBody bounds a push; a GitOps repository is text.
const maxBody = 512 << 20

// Handler serves the bare repositories below root at /NAME.git.
// User and password are what a push must present. pushed is called after every
// push that git took part in, whether or not it changed a branch; it is the
// server's webhook and must not block.
func Handler(root, user, password string, pushed func()) (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			fmt.Fprintln(w, "ok")
			return
		}
		env := []string{
			"GIT_PROJECT_ROOT=" + root,
			"GIT_HTTP_EXPORT_ALL=1",
			// The caller's configuration must not change what the server does.
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		}
		// Git's wire protocol version travels in this header; http-backend reads
		// it from the environment. https://git-scm.com/docs/protocol-v2
		if p := r.Header.Get("Git-Protocol"); p == "version=1" || p == "version=2" {
			env = append(env, "GIT_PROTOCOL="+p)
		}
		if isPush(r) {
			u, p, _ := r.BasicAuth()
			if subtle.ConstantTimeCompare([]byte(u), []byte(user))&
				subtle.ConstantTimeCompare([]byte(p), []byte(password)) != 1 {
				w.Header().Set("WWW-Authenticate", `Basic realm="lumacore lab"`)
				http.Error(w, "pushing needs the lab's credential", http.StatusUnauthorized)
				return
			}
			env = append(env, "REMOTE_USER="+user)
		}
		r.Header.Del("Authorization") // not for the environment of a child
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		// A push above 1 MiB comes in chunks, which package cgi refuses because a
		// CGI program may rely on the length; http-backend reads to the end.
		r.TransferEncoding = nil
		(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: env}).ServeHTTP(w, r)
		if r.Method == http.MethodPost && isPush(r) {
			pushed()
		}
	}), nil
}

// isPush reports whether a request is part of a push: the ref advertisement for
// it, or the push itself. https://git-scm.com/docs/http-protocol
func isPush(r *http.Request) bool {
	// All values: of several, git takes the last.
	return slices.Contains(r.URL.Query()["service"], "git-receive-pack") || strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}
