// Command gen writes the embedded schemas of package schemas: data/, from the
// modules that package modules names.
package main

import (
	"log"
	"os"
	"path/filepath"

	"lumacore.dev/lumacore/internal/schemas/modules"
)

func main() {
	log.SetFlags(0)
	files, err := modules.Generate(false)
	if err != nil {
		log.Fatal(err)
	}
	old, err := filepath.Glob("data/*")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range old {
		if files[filepath.Base(name)] == nil {
			if err := os.Remove(name); err != nil {
				log.Fatal(err)
			}
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join("data", name), data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
