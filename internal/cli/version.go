package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/report"
)

// version is set by the release build; other builds say what Go knows of them.
var version string

// versionReport is what `lumacore version` says.
type versionReport struct {
	report.TypeMeta
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Text implements report.Document.
func (v versionReport) Text(_ *report.Streams, w io.Writer) error {
	commit := ""
	if v.Commit != "" {
		commit = " commit " + v.Commit
		if v.Modified {
			commit += " (modified)"
		}
	}
	_, err := fmt.Fprintf(w, "lumacore %s%s %s %s\n", v.Version, commit, v.Go, v.Platform)
	return err
}

func newVersion(s *report.Streams) *cobra.Command {
	var out report.Outputs
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary and what it was built from",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			return out.Write(s, thisBinary())
		},
	}
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

// thisBinary is what this binary knows of itself.
func thisBinary() versionReport {
	v := versionReport{
		TypeMeta: report.Meta("VersionReport"), Version: version,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, kv := range info.Settings {
			switch kv.Key {
			case "vcs.revision":
				v.Commit = kv.Value
			case "vcs.time":
				v.Time = kv.Value
			case "vcs.modified":
				v.Modified = kv.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}
