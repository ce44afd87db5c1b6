package render

import (
	"os"
	"testing"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
)

// BenchmarkRepository renders the repository in the folder REPOSITORY
// (`go run ./test/repository/generate --apps 200 DIR` makes one).
func BenchmarkRepository(b *testing.B) {
	dir := os.Getenv("REPOSITORY")
	if dir == "" {
		b.Skip("REPOSITORY names no folder")
	}
	b.ReportAllocs()
	for b.Loop() {
		tree, err := gitops.Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		clusters, err := gitops.Discover(tree, nil)
		if err != nil {
			b.Fatal(err)
		}
		store, err := chart.NewStore(chart.Options{CacheDir: b.TempDir(), Offline: true})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Render(b.Context(), tree, clusters, Options{KubeVersion: "1.36.0", Charts: store}); err != nil {
			b.Fatal(err)
		}
		tree.Close()
	}
}
