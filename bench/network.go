package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// network measures the gate network on a repository with a thousand policies.
func (c *checkRun) network(ctx context.Context) error {
	dir, _, err := c.repository(ctx, "network", "--apps", strconv.Itoa(compared), "--network")
	if err != nil {
		return err
	}
	out, stream := dir+".json", dir+".yaml"
	if _, err := c.render(dir, stream).run(ctx); err != nil {
		return err
	}
	objects, err := readStream(stream)
	if err != nil {
		return err
	}
	kinds := map[any]int{}
	for _, o := range objects {
		kinds[o["kind"]]++
	}
	promises, err := os.ReadFile(filepath.Join(dir, "network.assert.yaml"))
	if err != nil {
		return err
	}
	assertions := strings.Count(string(promises), "\n  - name: ")
	if kinds["NetworkPolicy"] < 1000 || kinds["Namespace"] < compared || assertions < 500 {
		return fmt.Errorf("%s has %d policies in %d namespaces and %d assertions, which is too little", dir, kinds["NetworkPolicy"], kinds["Namespace"], assertions)
	}
	first := &arm{name: "lumacore check --gate network", run: c.check(dir, out, "--gate", "network", "-o", "json").run}
	again := &arm{name: "lumacore check --gate network, again", run: c.again(c.check(dir, out, "--gate", "network", "-o", "json")).run}
	if err := interleave(ctx, first, again); err != nil {
		return err
	}
	rep, err := readReport(out)
	if err != nil {
		return err
	}
	if len(rep.Findings)+len(rep.NotChecked) > 0 {
		return errors.New("every assertion of the generated repository should hold; see " + out)
	}
	saw := fmt.Sprintf("%d namespaces, %d policies, %d assertions, which all hold; rendering included", kinds["Namespace"], kinds["NetworkPolicy"], assertions)
	c.addArm("check.network.200", most(3), first, saw)
	c.addArm("check.network.200.again", none, again, "the same again")
	return nil
}
