// Command gendocs writes the reference: one Markdown page per command, from the
// same tree that the program runs, a page of all rules, one of what is in the blueprint,
// and the schemas of the owner's files, which the blueprint has too, for editors.
package main

import (
	"io"
	"log"
	"os"
	"path/filepath"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/cli/gendocs/pages"
	"lumacore.dev/lumacore/internal/report"
)

//go:generate go run . ../../../docs/reference ../../../blueprint/.schemas

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: gendocs FOLDER FOLDER-OF-SCHEMAS")
	}
	root := cli.New(&report.Streams{Out: io.Discard, Err: io.Discard})
	if err := pages.Write(filepath.Join(os.Args[1], "cli"), pages.Make(root)); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "rules.md"), pages.Rules(registry.Gates), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "settings.md"), pages.Settings(), 0o644); err != nil {
		log.Fatal(err)
	}
	contents, err := pages.Contents(blueprint.Files)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "blueprint.md"), contents, 0o644); err != nil {
		log.Fatal(err)
	}
	for dir, schemas := range map[string]map[string][]byte{os.Args[1]: pages.Schemas(), os.Args[2]: pages.RepositorySchemas()} {
		for name, schema := range schemas {
			if err := os.WriteFile(filepath.Join(dir, name), schema, 0o644); err != nil {
				log.Fatal(err)
			}
		}
	}
}
