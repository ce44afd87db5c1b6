// Command generate writes a Flux repository of package repository into a folder:
//
//	go run ./test/repository/generate --apps 200 DIR
//	go run ./test/repository/generate --apps 200 --defects all --truth truth.json DIR
//	go run ./test/repository/generate --apps 20 --commits 10000 --planted secrets.json DIR
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	commits := flag.Int("commits", 0, "`number` of commits of a Git history, the last of which is checked out; 0 for no Git")
	planted := flag.String("planted", "", "`file` to write the list of secrets in the history to, as JSON")
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
	dir := flag.Arg(0)
	if *commits == 0 {
		err = r.Write(dir)
	} else {
		err = commit(r, dir, *commits, o.Seed, *planted)
	}
	if err != nil {
		return err
	}
	if *truth != "" {
		if err := writeJSON(*truth, r.Defects); err != nil {
			return err
		}
	}
	if *folders != "" {
		return os.WriteFile(*folders, []byte(strings.Join(r.Folders(), "\n")+"\n"), 0o644)
	}
	return nil
}

// commit makes a Git repository with a history, and checks its last commit out.
func commit(r *repository.Repository, dir string, commits int, seed uint64, planted string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a folder that does not exist", dir)
	}
	if err := git(nil, "init", "-q", "-b", "main", dir); err != nil {
		return err
	}
	in, out := io.Pipe()
	var secrets []repository.Planted
	go func() {
		w := bufio.NewWriter(out)
		var err error
		if secrets, err = r.History(w, commits, seed); err == nil {
			err = w.Flush()
		}
		out.CloseWithError(err)
	}()
	if err := git(in, "-C", dir, "fast-import", "--quiet"); err != nil {
		return err
	}
	if err := git(nil, "-C", dir, "reset", "-q", "--hard", "main"); err != nil {
		return err
	}
	if planted == "" {
		return nil
	}
	return writeJSON(planted, secrets)
}

func git(in io.Reader, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Stdin = in
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, msg)
	}
	return nil
}

func writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}
