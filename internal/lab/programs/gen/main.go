// Command gen writes sources.txtar: the files of lab/ and examples/beacon that
// an installed lumacore needs to build the lab's programs. They are modules of
// their own, which go:embed cannot reach.
package main

import (
	"log"
	"os"
	"path/filepath"

	"lumacore.dev/lumacore/internal/lab/programs/archive"
)

func main() {
	log.SetFlags(0)
	root, err := filepath.Abs("../../..")
	if err != nil {
		log.Fatal(err)
	}
	data, err := archive.Make(root)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("sources.txtar", data, 0o644); err != nil {
		log.Fatal(err)
	}
}
