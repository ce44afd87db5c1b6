// Command generate writes a Flux repository of package repository into a folder:
//
//	go run ./test/repository/generate --apps 200 DIR
//	go run ./test/repository/generate --apps 200 --defects all --truth truth.json DIR
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"lumacore.dev/lumacore/test/repository"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	var o repository.Options
	flag.IntVar(&o.Apps, "apps", 20, "`number` of apps")
	flag.Uint64Var(&o.Seed, "seed", 1, "`number` that decides names, versions and sizes")
	defects := flag.String("defects", "", "`sets` of mistakes to add, with commas, or \"all\": "+strings.Join(repository.Sets(), ", "))
	flag.BoolVar(&o.Plain, "plain", false, "only kustomizations: no HelmReleases, no variables")
	flag.BoolVar(&o.Network, "network", false, "four more NetworkPolicies for each app, and five assertions for each two")
	flag.IntVar(&o.Policies, "policies", 1, "how `often` each of the six admission policies is there")
	truth := flag.String("truth", "", "`file` to write the list of mistakes to, as JSON")
	folders := flag.String("folders", "", "`file` to write the folders that Flux applies to, one per line")
	sets := flag.Bool("sets", false, "list the sets of mistakes and make nothing")
	flag.Parse()
	if *sets {
		fmt.Println(strings.Join(repository.Sets(), "\n"))
		return nil
	}
	if flag.NArg() != 1 {
		return errors.New("name one folder to write to")
	}
	switch *defects {
	case "":
	case "all":
		o.Defects = repository.Sets()
	default:
		o.Defects = strings.Split(*defects, ",")
	}
	r, err := repository.Generate(o)
	if err != nil {
		return err
	}
	if err := r.Write(flag.Arg(0)); err != nil {
		return err
	}
	if *truth != "" {
		data, err := json.MarshalIndent(r.Defects, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*truth, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if *folders != "" {
		return os.WriteFile(*folders, []byte(strings.Join(r.Folders(), "\n")+"\n"), 0o644)
	}
	return nil
}
