package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// commits is how many the history has that is searched for secrets.
const commits = 10_000

// history compares the search of a whole history for secrets with the program gitleaks,
// and a second search, when nothing is new.
func (c *checkRun) history(ctx context.Context) error {
	planted := filepath.Join(c.dir, "history.planted")
	dir, _, err := c.repository(ctx, "history", "--apps", "50", "--commits", strconv.Itoa(commits), "--planted", planted)
	if err != nil {
		return err
	}
	gitleaks, err := c.peer(ctx, "gitleaks")
	if err != nil {
		return err
	}
	out, theirs := dir+".json", dir+".gitleaks.json"
	search := c.check(dir, out, "--gate", "secrets", "--history", "-o", "json")
	mine := &arm{name: "lumacore check --history", run: search.run}
	again := &arm{name: "lumacore check --history, again", run: c.again(search).run}
	peer := &arm{name: "gitleaks git", run: job{program: gitleaks, args: []string{
		"git", "--no-banner", "--log-level", "error", "--report-format", "json", "--report-path", theirs, dir,
	}, fails: true}.run}

	// The same findings first, then the time.
	if _, err := peer.run(ctx); err != nil {
		return err
	}
	want, err := gitleaksFindings(theirs)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(planted)
	if err != nil {
		return err
	}
	var secrets []struct{ Rule string }
	if err := json.Unmarshal(data, &secrets); err != nil {
		return err
	}
	if len(secrets) == 0 || len(want) < len(secrets)*9/10 {
		return fmt.Errorf("gitleaks finds %d secrets of %d in the history", len(want), len(secrets))
	}
	for _, a := range []*arm{mine, again, again} {
		if _, err := a.run(ctx); err != nil {
			return err
		}
		got, err := historyFindings(out)
		if err != nil {
			return err
		}
		for name, lists := range map[string][2]map[string]bool{"gitleaks": {want, got}, a.name: {got, want}} {
			for _, f := range slices.Sorted(maps.Keys(lists[0])) {
				if !lists[1][f] {
					return fmt.Errorf("only %s finds %s", name, f)
				}
			}
		}
	}
	if err := interleave(ctx, mine, again, peer); err != nil {
		return err
	}
	saw := fmt.Sprintf("%d commits, the same %d findings: rule, file, line, commit and secret", commits, len(want))
	c.addArm("check.history", none, mine, saw)
	c.addArm("check.history.gitleaks", none, peer, saw)
	c.add("check.history.ratio", "×", least(1.6), peer.slower(mine)...).Saw = "gitleaks git / lumacore check --gate secrets --history, which renders the repository too"
	c.addArm("check.history.again", most(1), again, "nothing new: the same findings")
	return nil
}

// gitleaksFindings are the findings in a report of gitleaks, with a hash of the secret
// as lumacore makes it.
func gitleaksFindings(name string) (map[string]bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []struct {
		RuleID, File, Commit, Secret string
		StartLine                    int
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := map[string]bool{}
	for _, f := range list {
		key, err := pbkdf2.Key(sha256.New, f.Secret, []byte("lumacore.dev/leaks "+f.RuleID), 10_000, 10)
		if err != nil {
			return nil, err
		}
		out[fmt.Sprintf("%s:%s:%s:%d secret %s", f.Commit, f.File, f.RuleID, f.StartLine, hex.EncodeToString(key))] = true
	}
	return out, nil
}

// inHistory is the message of a finding.
var inHistory = regexp.MustCompile(`^commit ([0-9a-f]+) of \S+ adds it in (.*):(\d+): rule (\S+) of Gitleaks matches .*; fingerprint ([0-9a-f]+)$`)

// historyFindings are the same in a report of lumacore.
func historyFindings(name string) (map[string]bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var rep struct {
		Findings   []struct{ Rule, Message string }
		NotChecked []struct{ Gate, Reason string }
	}
	if err := json.Unmarshal(data, &rep); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, u := range rep.NotChecked {
		if u.Gate == "secrets" {
			return nil, fmt.Errorf("%s: not checked: %s", name, u.Reason)
		}
	}
	out := map[string]bool{}
	for _, f := range rep.Findings {
		if f.Rule != "secrets/in-history" {
			continue
		}
		m := inHistory.FindStringSubmatch(f.Message)
		if m == nil {
			return nil, fmt.Errorf("%s: a message that is not understood: %s", name, f.Message)
		}
		out[fmt.Sprintf("%s:%s:%s:%s secret %s", m[1], m[2], m[4], m[3], m[5])] = true
	}
	return out, nil
}
