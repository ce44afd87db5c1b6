// Command gendocs writes the reference: one Markdown page per command, from the
// same tree that the program runs, and a page of all rules.
package main

import (
	"io"
	"log"
	"os"
	"path/filepath"

	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/cli/gendocs/pages"
	"lumacore.dev/lumacore/internal/report"
)

//go:generate go run . ../../../docs/reference

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs FOLDER")
	}
	root := cli.New(&report.Streams{Out: io.Discard, Err: io.Discard})
	if err := pages.Write(filepath.Join(os.Args[1], "cli"), pages.Make(root)); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "rules.md"), pages.Rules(registry.Gates), 0o644); err != nil {
		log.Fatal(err)
	}
}
