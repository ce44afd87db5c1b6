package gitops

import (
	"bytes"
	"context"
	"strings"
	"time"
)

// Remotes returns the addresses of the remotes of the Git repository that holds
// root; none when there is no repository. A Flux source with one of these
// addresses is the repository itself.
func Remotes(ctx context.Context, root string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := Git(ctx, root, "config", "--null", "--get-regexp", `^remote\..*\.url$`).Output()
	if err != nil {
		return nil
	}
	var urls []string
	for entry := range bytes.SplitSeq(out, []byte{0}) {
		if _, url, ok := bytes.Cut(entry, []byte("\n")); ok {
			urls = append(urls, string(url))
		}
	}
	return urls
}

// SameURL compares the addresses of repositories: without scheme, user, port, suffix
// and case, because the same repository has several. An empty one is like no other.
func SameURL(a, b string) bool {
	plain := func(u string) string {
		u = strings.ToLower(strings.TrimSpace(u))
		if _, rest, ok := strings.Cut(u, "://"); ok {
			u = rest
		} else if host, p, ok := strings.Cut(u, ":"); ok { // git@host:path
			u = host + "/" + p
		}
		host, p, _ := strings.Cut(u, "/")
		if _, h, ok := strings.Cut(host, "@"); ok {
			host = h
		}
		host, _, _ = strings.Cut(host, ":")
		return host + "/" + strings.TrimSuffix(strings.Trim(p, "/"), ".git")
	}
	return a != "" && plain(a) == plain(b)
}
