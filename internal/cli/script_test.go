package cli_test

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/lab/gitserver"
	simgitlab "lumacore.dev/lumacore/internal/sim/gitlab"
)

// The test binary is lumacore when a script runs it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lumacore": func() {
		cli.Patient()
		os.Exit(cli.Main())
	}})
}

// TestScripts runs testdata/script/*.txtar: what a person types, and what comes
// out where. A script has a home, a lab and a cache of its own, and no Internet.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *golden.Update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("LUMACORE_DIR", e.WorkDir+"/lab")
			e.Setenv("LUMACORE_CACHE", e.WorkDir+"/cache")
			e.Setenv("GOTOOLCHAIN", "local")
			e.Setenv("NO_COLOR", "1")
			// Where lumacore is, for a script with a PATH of its own.
			bin, _, _ := strings.Cut(e.Getenv("PATH"), string(os.PathListSeparator))
			e.Setenv("LUMACORE_BINARY", filepath.Join(bin, "lumacore"))
			e.Values[gitLabOf] = new(*simgitlab.Server)
			return os.Mkdir(e.WorkDir+"/home", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcode, "apiserver": apiserver, "blueprint": writeBlueprint, "gitlab": gitLab, "mirror": publicMirror},
	})
}

// exitcode N PROGRAM ARGUMENT… runs the program, which must end with N exactly:
// "! exec" would take a crash for a refusal.
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N program [argument...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// blueprint DIR writes the blueprint into a new folder.
func writeBlueprint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: blueprint dir")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), blueprint.Files))
}

// mirror FOLDER TOKEN starts a Git server with the empty repository public.git in a new
// folder, whose address becomes $MIRROR; pushing needs the token.
func publicMirror(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mirror folder token")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(ts.Exec("git", "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(dir, "public.git")))
	ts.Check(ts.Exec("git", "-C", filepath.Join(dir, "public.git"), "config", "http.receivepack", "true"))
	h, err := gitserver.Handler(dir, "oauth2", args[1], func() {})
	ts.Check(err)
	server := httptest.NewServer(h)
	ts.Defer(server.Close)
	ts.Setenv("MIRROR", server.URL+"/public.git")
}

// gitLabOf is the key of a script's simulated GitLab.
const gitLabOf = "gitlab"

// gitlab start TIER starts a simulated GitLab with the project homelab/infra, whose
// address becomes $GITLAB. It knows the tokens "owner", "reader" (scope read_api) and
// "junior" (role Developer). Then: gitlab runner DESCRIPTION, gitlab set ATTRIBUTE true,
// gitlab fail N COUNT (writes), gitlab limit COUNT SECONDS.
func gitLab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: gitlab start|runner|set|fail|limit argument...")
	}
	const project = "homelab/infra"
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		ts.Check(err)
		return n
	}
	at := ts.Value(gitLabOf).(**simgitlab.Server)
	switch args[0] {
	case "start":
		*at = simgitlab.New(args[1], map[string]simgitlab.Token{
			"owner":  {Scopes: []string{"api"}, Role: simgitlab.Maintainer},
			"reader": {Scopes: []string{"read_api"}, Role: simgitlab.Maintainer},
			"junior": {Scopes: []string{"api"}, Role: simgitlab.Developer},
		}, project)
		server := httptest.NewServer((*at).Handler())
		ts.Defer(server.Close)
		ts.Setenv("GITLAB", server.URL)
	case "runner":
		(*at).Runner(project, args[1])
	case "set":
		(*at).Set(project, args[1], args[2] == "true")
	case "fail":
		(*at).FailWrites(number(1), number(2), false)
	case "limit":
		(*at).Limit(number(1), number(2))
	default:
		ts.Fatalf("gitlab has no command %q", args[0])
	}
}

// apiserver KUBECONFIG ANSWERS starts an API server that knows ConfigMaps, and writes the
// kubeconfig of it, whose contexts differ in where the credentials come from: it names
// them (home), or a program (program); or nobody is there (away), or they are not
// accepted (stranger). ANSWERS has the status with which it answers a dry run of the
// ConfigMap of a name, one a line: "NAME JSON"; it takes all others.
func apiserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: apiserver kubeconfig answers")
	}
	answers := map[string]string{}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		name, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		answers[name] = answer
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		get := map[string]string{
			"/version": `{"major": "1", "minor": "36"}`,
			"/api":     `{"kind": "APIVersions", "versions": ["v1"]}`,
			"/apis":    `{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}`,
			"/api/v1":  `{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": true}]}`,
		}[r.URL.Path]
		answer := answers[path.Base(r.URL.Path)]
		switch {
		case r.Header.Get("Authorization") != "Bearer hunter2":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && get != "":
			io.WriteString(w, get)
		case r.Method != http.MethodPatch || r.URL.Query().Get("dryRun") != "All":
			w.WriteHeader(http.StatusTeapot) // nothing else may be asked
		case answer != "":
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, answer)
		default:
			_, _ = io.Copy(w, r.Body)
		}
	}))
	ts.Defer(server.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	kubeconfig := "apiVersion: v1\nkind: Config\ncurrent-context: home\n" +
		"clusters: [{name: home, cluster: {server: \"" + server.URL + "\", certificate-authority-data: " + ca + "}}, {name: away, cluster: {server: \"http://127.0.0.1:1\"}}]\n" +
		"users:\n" +
		"  - {name: me, user: {token: hunter2}}\n" +
		"  - {name: stranger, user: {token: hunter3}}\n" +
		"  - {name: program, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: ./credentials}}}\n" +
		"contexts:\n" +
		"  - {name: home, context: {cluster: home, user: me}}\n" +
		"  - {name: away, context: {cluster: away, user: me}}\n" +
		"  - {name: stranger, context: {cluster: home, user: stranger}}\n" +
		"  - {name: program, context: {cluster: home, user: program}}\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(kubeconfig), 0o600))
}
