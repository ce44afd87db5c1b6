package supervisor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// HTTP returns a probe: ready is what answers a GET with 200.
func HTTP(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, 512))
		if res.StatusCode != http.StatusOK {
			line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
			return fmt.Errorf("GET %s: %s: %s", url, res.Status, line)
		}
		return nil
	}
}
