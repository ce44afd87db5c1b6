package mirror_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/mirror"
)

// TestDeniedIsNowhere: for random trees and rules, nothing that a rule withholds is in the
// object store of the mirror or of the clone that pushes to it, not even unreachable.
func TestDeniedIsNowhere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t)
			pick := func(list ...string) string { return list[random.IntN(len(list))] }
			patterns := []string{"apps/secret", "**/*.PRIVATE.yaml", "notes.md", "docs/**/draft-?.md", "overlays/{a,b}/**", "/clusters/x", "[Kk]eys*"}
			random.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
			patterns = patterns[:1+random.IntN(len(patterns))]
			w.config("  withhold: ['" + strings.Join(patterns, "', '") + "']\n")
			content := map[string]string{} // object -> path, of all that ever was
			for range 3 {
				for range 25 {
					name := filepath.Join(
						pick("apps", "docs", "overlays", "clusters", "hosts", "infrastructure"),
						pick("secret", "a", "b", "x", "web"),
						pick("deep", "draft-1.md", "a", "keys"),
						pick("a.private.yaml", "a.yaml", "draft-2.md", "KEYS.txt", "state.tfstate", "id_rsa", "b.pem", "NOTES.MD"))
					data := fmt.Sprintf("content %d of %s\n", random.Uint64(), strings.ReplaceAll(name, ".", " "))
					if random.IntN(5) == 0 {
						w.must(os.RemoveAll(filepath.Join(w.dir, filepath.Dir(name))))
					}
					if os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o755) != nil || os.WriteFile(filepath.Join(w.dir, name), []byte(data), 0o600) != nil {
						continue // a file is where a folder would be
					}
					content[gitops.BlobName([]byte(data), 40)] = name
				}
				w.commit("feat: random")
				r := w.sync()
				if r.Result == mirror.Blocked {
					t.Fatalf("blocked: %v %v", r.Findings, r.Problems)
				}
				verdicts := map[string]mirror.Verdict{}
				for _, d := range r.Decisions {
					verdicts[d.Path] = d.Verdict
				}
				clones, err := filepath.Glob(filepath.Join(w.to.Folder, "*", "HEAD"))
				if err != nil || len(clones) == 0 {
					t.Fatalf("no clone: %v", err)
				}
				stores := []string{filepath.Join(w.server, "public.git")}
				for _, c := range clones {
					stores = append(stores, filepath.Dir(c))
				}
				for _, store := range stores {
					objects := w.run(store, "git", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
					for object := range strings.FieldsSeq(objects) {
						if name, ok := content[object]; ok && verdicts[name] == mirror.Withheld {
							t.Errorf("%s has %s, which is withheld", store, name)
						}
					}
				}
				// What the rules say, in other words.
				for name, v := range verdicts {
					lower := strings.ToLower(name)
					if v == mirror.Published && (strings.HasSuffix(lower, ".tfstate") || strings.HasSuffix(lower, ".pem") || strings.Contains(lower, "id_rsa") || strings.HasPrefix(lower, "hosts/") || name == "lumacore.yaml") {
						t.Errorf("%s is published", name)
					}
				}
			}
		})
	}
}
