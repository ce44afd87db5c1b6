// Command fluxbuild builds kustomization folders with fluxcd/pkg/kustomize, the
// library of Flux's kustomize-controller and of `flux build`, one after another in
// one process, and writes the objects as one YAML stream:
//
//	fluxbuild DIR...
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/kustomize"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fluxbuild:", err)
		os.Exit(1)
	}
}

func run(dirs []string) error {
	out := bufio.NewWriter(os.Stdout)
	fs := filesys.MakeFsOnDisk()
	for _, dir := range dirs {
		m, err := kustomize.Build(fs, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		data, err := m.AsYaml()
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		fmt.Fprintf(out, "---\n%s", data)
	}
	return out.Flush()
}
