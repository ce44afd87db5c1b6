package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// policy compares the gate policy with gator, Gatekeeper's own tool, on the same objects:
// what lumacore renders of a repository with as many policies as a security baseline has
// (24, each for production and for staging), in which some objects are against them.
func (c *checkRun) policy(ctx context.Context) error {
	dir, _, err := c.repository(ctx, "policy", "--apps", strconv.Itoa(compared), "--defects", "policy", "--policies", "4")
	if err != nil {
		return err
	}
	gator, err := c.peer(ctx, "gator")
	if err != nil {
		return err
	}
	stream, out, theirs := dir+".yaml", dir+".json", dir+".gator.json"
	if _, err := c.render(dir, stream).run(ctx); err != nil {
		return err
	}
	// gator ends at the first template or constraint that does not work; lumacore reports
	// them and goes on. They are taken out for both.
	if err := withoutBroken(stream); err != nil {
		return err
	}
	mine := &arm{name: "lumacore check --gate policy", run: c.check(dir, out, "--gate", "policy", "-o", "json").run}
	again := &arm{name: "lumacore check --gate policy, again", run: c.again(c.check(dir, out, "--gate", "policy", "-o", "json")).run}
	peer := &arm{name: "gator test", run: job{
		program: gator, args: []string{"test", "--enable-k8s-native-validation=true", "--output", "json", "--filename", stream}, output: theirs, fails: true,
	}.run}
	if err := interleave(ctx, mine, again, peer); err != nil {
		return err
	}

	// The same verdicts: which constraint has what against which object.
	ours, err := lumacoreVerdicts(out)
	if err != nil {
		return err
	}
	other, err := gatorVerdicts(theirs)
	if err != nil {
		return err
	}
	if !maps.Equal(ours, other) || len(ours) == 0 {
		return fmt.Errorf("lumacore and gator come to other verdicts:\n%s\nand\n%s", strings.Join(slices.Sorted(maps.Keys(ours)), "\n"), strings.Join(slices.Sorted(maps.Keys(other)), "\n"))
	}
	rendered, err := readObjects(stream)
	if err != nil {
		return err
	}
	rep, err := readReport(out)
	if err != nil {
		return err
	}
	c.addArm("check.policy", none, mine, "renders, then reviews, also the pods of workloads: "+rep.saw())
	c.addArm("check.policy.again", none, again, "the same again")
	c.addArm("check.policy.gator", none, peer, fmt.Sprintf("%s, given as one file; the same %d verdicts", rendered.saw(), len(ours)))
	c.add("check.policy.ratio", "×", least(3), peer.slower(again)...).Saw = "gator test / lumacore check --gate policy, both with warm caches; lumacore renders besides"
	c.add("check.policy.ratio.first", "×", none, peer.slower(mine)...).Saw = "the same with nothing kept of earlier renders"
	return nil
}

// withoutBroken takes out of a stream the policies that are broken on purpose.
func withoutBroken(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var kept []string
	for _, doc := range strings.Split(string(data), "\n---\n") {
		if !brokenPolicy.MatchString(doc) {
			kept = append(kept, doc)
		}
	}
	return os.WriteFile(name, []byte(strings.Join(kept, "\n---\n")), 0o644)
}

// brokenPolicy are those of the set of mistakes "policy".
var brokenPolicy = regexp.MustCompile(`(?m)^  name: (brokencel|invalid|signatures)$`)

// lumacoreVerdicts reads a report: "constraint object: message".
func lumacoreVerdicts(name string) (map[string]bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var rep struct {
		Findings []struct{ Rule, Object, Message string }
	}
	if err := json.Unmarshal(data, &rep); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := map[string]bool{}
	for _, f := range rep.Findings {
		switch f.Rule {
		case "policy/denied", "policy/warned", "policy/reported":
			m := verdict.FindStringSubmatch(f.Message)
			if m == nil {
				return nil, fmt.Errorf("%s: unexpected message %q", name, f.Message)
			}
			out[m[1]+" "+f.Object+": "+m[2]] = true
		}
	}
	return out, nil
}

// verdict is a message: constraint (place) verb it: message.
var verdict = regexp.MustCompile(`^(\S+ \S+) \(\S+\) .*? it: (.*)$`)

// gatorVerdicts reads what gator prints.
func gatorVerdicts(name string) (map[string]bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	type object struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
	}
	var list []struct {
		Msg             string
		Constraint      object
		ViolatingObject object
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := map[string]bool{}
	for _, r := range list {
		o := r.ViolatingObject.Metadata.Name
		if ns := r.ViolatingObject.Metadata.Namespace; ns != "" {
			o = ns + "/" + o
		}
		out[fmt.Sprintf("%s %s %s %s: %s", r.Constraint.Kind, r.Constraint.Metadata.Name, r.ViolatingObject.Kind, o, strings.Join(strings.Fields(r.Msg), " "))] = true
	}
	return out, nil
}
