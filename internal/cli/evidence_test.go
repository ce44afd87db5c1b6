package cli_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/evidence"
	"lumacore.dev/lumacore/internal/report"
)

// TestExporter: the verb says where it serves, serves, and ends well when it is told to.
func TestExporter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := (evidence.Folder{Dir: dir}).Add(t.Context(), evidence.Record{Kind: evidence.Mirror, Subject: "sync", Time: time.Now(), Result: evidence.Passed}); err != nil {
		t.Fatal(err)
	}
	said, w := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status := make(chan int, 1)
	go func() {
		status <- cli.Run(ctx, &report.Streams{Out: io.Discard, Err: w}, []string{"exporter", "--listen", "127.0.0.1:0", "--evidence", dir})
		w.Close()
	}()
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%q %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	address := strings.TrimSpace(strings.TrimPrefix(line, "serving "))
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), `lumacore_evidence_last_result{kind="mirror",result="passed",subject="sync"} 1`) {
		t.Errorf("%v\n%s", err, text)
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("exit status %d", got)
	}
}
