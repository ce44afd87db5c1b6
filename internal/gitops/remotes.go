package gitops

import (
	"bytes"
	"context"
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
