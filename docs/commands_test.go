//go:build e2e

package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// command is one command of a page: what follows "$ ", with its continuation
// lines.
type command struct {
	line   int
	text   string
	skipOf string // reason why it is not run
}

// commands returns the commands of a page, in order. Commands stand in blocks
// marked "console"; other shell blocks would escape the test, so they are errors.
func commands(t *testing.T, path string) []command {
	t.Helper()
	var list []command
	for _, b := range readPage(t, path).blocks {
		switch b.language {
		case "console":
		case "sh", "bash", "shell", "zsh":
			t.Errorf("%s:%d: use a console block, so that the tests run it", path, b.line)
			continue
		default:
			continue
		}
		skipBlock := ""
		if m := notRun.FindStringSubmatch(b.above); m != nil {
			skipBlock = m[1]
		}
		inCommand := false
		for i, l := range strings.Split(b.code, "\n") {
			switch {
			case strings.HasPrefix(l, "$ "):
				c := command{line: b.line + i, text: l[2:], skipOf: skipBlock}
				if m := notRun.FindStringSubmatch(l); m != nil {
					c.skipOf = m[1]
				}
				list = append(list, c)
				inCommand = true
			case inCommand && strings.HasPrefix(l, "> "):
				list[len(list)-1].text += "\n" + l[2:]
			default:
				inCommand = false // output
			}
		}
	}
	return list
}

// TestCommands runs the commands of the pages as a reader would: in order, in one
// shell, from the top of a checkout, with a lab of their own.
func TestCommands(t *testing.T) {
	bin, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	lumacore := filepath.Join(bin, "lumacore")
	if _, err := os.Stat(lumacore); err != nil {
		t.Fatalf("%v; run: make build", err)
	}
	for _, page := range []string{"../README.md", "quick-start.md"} {
		t.Run(filepath.Base(page), func(t *testing.T) {
			list := commands(t, page)
			checkout := filepath.Join(t.TempDir(), "lumacore")
			if err := os.CopyFS(filepath.Join(checkout, "blueprint"), os.DirFS(filepath.Join(root, "blueprint"))); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(bin, filepath.Join(checkout, "bin")); err != nil {
				t.Fatal(err)
			}
			env := append(os.Environ(),
				"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
				"LUMACORE_DIR="+filepath.Join(t.TempDir(), "lab"),
				"NO_COLOR=1",
			)
			t.Cleanup(func() {
				down := exec.Command(lumacore, "lab", "down", "--purge", "--yes")
				down.Env = env
				if out, err := down.CombinedOutput(); err != nil {
					t.Errorf("lab down --purge: %v\n%s", err, out)
				}
			})

			var script bytes.Buffer
			ran := 0
			for _, c := range list {
				if c.skipOf != "" {
					t.Logf("not run: line %d: %s: %s", c.line, c.text, c.skipOf)
					continue
				}
				ran++
				fmt.Fprintf(&script, "echo '+ line %d'\n%s\n", c.line, c.text)
			}
			if ran == 0 {
				t.Fatal("no command is run: the page or the test is wrong")
			}
			ctx := context.Background()
			if end, ok := t.Deadline(); ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Minute))
				defer cancel()
			}
			sh := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script.String())
			sh.Dir, sh.Env = checkout, env
			sh.WaitDelay = 10 * time.Second
			out, err := sh.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Errorf("the command after the last \"+ line\" above failed: %v", err)
			}
		})
	}
}
