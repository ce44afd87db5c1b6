package main

import (
	"runtime"
	"runtime/debug"
)

// build identifies the binary; it is the body of /version.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // full Git hash, "+dirty" when the work tree had changes, or "unknown"
	Go      string `json:"go"`     // release of the toolchain, for example "go1.26.8"
}

// readBuild combines what the linker was told with what the toolchain recorded.
// A commit given to the linker wins: image builds often have no .git directory.
func readBuild(version, commit string) build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	if b.Commit == "" {
		info, _ := debug.ReadBuildInfo()
		b.Commit = recordedCommit(info)
	}
	return b
}

// recordedCommit is the commit in the build information, or "unknown" when there
// is none, as in a build with -buildvcs=false or outside a checkout.
func recordedCommit(info *debug.BuildInfo) string {
	if info == nil {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return "unknown"
	}
	return revision + dirty
}
