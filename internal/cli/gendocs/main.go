// Command gendocs writes the reference of the command line: one Markdown page
// per command, from the same tree that the program runs.
package main

import (
	"io"
	"log"
	"os"

	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/cli/gendocs/pages"
	"lumacore.dev/lumacore/internal/report"
)

//go:generate go run . ../../../docs/reference/cli

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs FOLDER")
	}
	root := cli.New(&report.Streams{Out: io.Discard, Err: io.Discard})
	if err := pages.Write(os.Args[1], pages.Make(root)); err != nil {
		log.Fatal(err)
	}
}
