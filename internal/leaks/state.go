package leaks

import (
	"encoding/hex"
	"encoding/json"
	"slices"

	"lumacore.dev/lumacore/internal/cache"
)

// state is what is known of the commits of a repository from earlier scans with the
// same rules: which were scanned, and what was found, without the secrets. Names of
// commits name their content, so nothing of it goes stale.
type state struct {
	commits map[string]bool
	known   map[string]seen // of those in which there was something
}

// seen is what was found in a commit.
type seen struct {
	Findings []Finding `json:"findings,omitempty"`
	Gaps     []Gap     `json:"gaps,omitempty"`
}

// kept is how a state is written.
type kept struct {
	Names   int             `json:"names"`   // bytes of a name
	Commits []byte          `json:"commits"` // their names, one after the other
	Known   map[string]seen `json:"known"`
}

func stateKey(r *Rules, common string) cache.Key {
	return cache.NewKey([]byte("leaks history"), []byte(r.Version()), []byte(common))
}

// loadState reads what is known. What cannot be read is not known: it is scanned again.
func loadState(f *cache.Folder, r *Rules, common string) *state {
	s := &state{commits: map[string]bool{}, known: map[string]seen{}}
	data, ok := f.Get(stateKey(r, common))
	if !ok {
		return s
	}
	var k kept
	if json.Unmarshal(data, &k) != nil || k.Names != 20 && k.Names != 32 || len(k.Commits)%k.Names != 0 {
		return s
	}
	for name := range slices.Chunk(k.Commits, k.Names) {
		s.commits[hex.EncodeToString(name)] = true
	}
	if k.Known != nil {
		s.known = k.Known
	}
	return s
}

func (s *state) done(commit string) bool { return s.commits[commit] }

func (s *state) of(commit string) ([]Finding, []Gap) {
	k := s.known[commit]
	return k.Findings, k.Gaps
}

func (s *state) add(commit string, findings []Finding, gaps []Gap) {
	s.commits[commit] = true
	if len(findings)+len(gaps) > 0 {
		s.known[commit] = seen{findings, gaps}
	}
}

// save writes what is known: of these commits alone if they are all that there are.
func (s *state) save(f *cache.Folder, r *Rules, common string, commits []string, all bool) {
	if f == nil {
		return
	}
	if all {
		there := make(map[string]bool, len(commits))
		for _, c := range commits {
			there[c] = s.commits[c]
		}
		for c := range s.known {
			if !there[c] {
				delete(s.known, c)
			}
		}
		s.commits = there
	}
	k := kept{Known: s.known}
	for c, ok := range s.commits {
		name, err := hex.DecodeString(c)
		if !ok || err != nil || k.Names != 0 && len(name) != k.Names {
			continue
		}
		k.Names = len(name)
		k.Commits = append(k.Commits, name...)
	}
	if data, err := json.Marshal(k); err == nil && k.Names > 0 {
		f.Put(stateKey(r, common), data)
	}
}
