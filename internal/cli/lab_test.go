package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/report"
)

func streams(in string) (*report.Streams, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &report.Streams{In: strings.NewReader(in), Out: &out, Err: &errs}, &out, &errs
}

func TestConfirm(t *testing.T) {
	for name, tt := range map[string]struct {
		in string
		ok bool
	}{
		"y": {"y\n", true}, "yes": {"yes\n", true}, "capitals": {"YES\n", true},
		"no": {"n\n", false}, "only return": {"\n", false}, "end of input": {"", false}, "something else": {"yep\n", false},
		"two words": {"yes please\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, out, errs := streams(tt.in)
			err := confirm(t.Context(), s, "This deletes all.")
			if tt.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			var f *report.Failure
			if !tt.ok && (!errors.As(err, &f) || f.Error() != "nothing was done" || f.Next != "answer y, or give --yes" || report.ExitCode(err) != report.ExitFindings) {
				t.Errorf("error %v, want: nothing was done", err)
			}
			if got := errs.String(); got != "This deletes all. Go on? [y/N] " || out.Len() > 0 {
				t.Errorf("asked %q on stderr, %q on stdout", got, out)
			}
		})
	}
}

// Purging asks at a terminal, and changes nothing without a yes.
func TestDownPurgeAsks(t *testing.T) {
	t.Setenv("LUMACORE_CACHE", t.TempDir())
	dir := t.TempDir() + "/lab"
	s, out, errs := streams("n\n")
	s.ErrTTY = true
	if code := Run(context.Background(), s, []string{"lab", "down", "--purge", "--dir", dir}); code != report.ExitFindings {
		t.Errorf("exit code %d, want %d", code, report.ExitFindings)
	}
	want := "This deletes the lab's cluster, Git repository and registry in " + dir + ". Go on? [y/N] " +
		"lumacore: nothing was done\n  next: answer y, or give --yes\n"
	if diff := cmp.Diff(want, errs.String()); diff != "" || out.Len() > 0 {
		t.Errorf("stderr (-want +got):\n%s\nstdout: %q", diff, out)
	}
	s, out, errs = streams("")
	s.ErrTTY = true
	if code := Run(context.Background(), s, []string{"lab", "down", "--purge", "--yes", "--dir", dir}); code != 0 || errs.Len() > 0 {
		t.Errorf("with --yes: exit code %d, stderr %q", code, errs)
	}
	if want := "The lab in " + dir + " was not running; its data is deleted.\n"; out.String() != want {
		t.Errorf("with --yes %q, want %q", out, want)
	}
}

func TestSummary(t *testing.T) {
	s, out, _ := streams("")
	l := &lab.Lab{Layout: lab.Layout{Dir: "/LAB"}}
	err := summary(s, l, &lab.Report{Kustomizations: []lab.Kustomization{
		{Name: "flux-system", Ready: true},
		{Name: "apps-staging", Environment: "staging", Ready: true},
		{Name: "apps-prod", Environment: "prod", Suspended: true, Message: "production is released by hand"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nStaging (apps-staging) is healthy.", "\napps-prod is suspended: production is released by hand.\n",
		"KUBECONFIG=/LAB/kubeconfig/admin.yaml kubectl get pods -A", "lumacore lab push --dirty DIR", "lumacore lab image 1.0.1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, out)
		}
	}
}

// An interrupted command says so and ends with 130.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, out, errs := streams("")
	root := New(s)
	root.AddCommand(&cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Context().Err() }})
	root.SetArgs([]string{"wait"})
	err := root.ExecuteContext(ctx)
	s.PrintError(err)
	if report.ExitCode(err) != report.ExitInterrupted || errs.String() != "lumacore: interrupted; the same command goes on where this one stopped\n" || out.Len() > 0 {
		t.Errorf("exit code %d, stderr %q, stdout %q", report.ExitCode(err), errs, out)
	}
}

// Every command can be understood without reading code, and every message that
// names a command names one that there is.
func TestCommandsAreDocumented(t *testing.T) {
	s, _, _ := streams("")
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return // cobra's own
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q, want one without a full stop", c.CommandPath(), c.Short)
		}
		if c.Args == nil {
			t.Errorf("%s takes any argument", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(New(s))
}
