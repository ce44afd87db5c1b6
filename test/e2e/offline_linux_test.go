//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lumacore.dev/lumacore/internal/lab/programs"
)

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req)
}

// After the build everything is on disk: up works where there is no network.
func TestUpWithoutNetwork(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: making a network namespace needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "lab")
	cmd := exec.Command(self, offlineHelper,
		binary+" lab up", binary+" lab status", binary+" lab image 1.0.0", binary+" lab down --purge --yes")
	cmd.Env = append(os.Environ(), "LUMACORE_DIR="+dir, "GOPROXY=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "Staging (apps-staging) is healthy.") {
		t.Errorf("%s", out)
	}
}

// No part needs root.
func TestUpAsAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: this whole run is unprivileged already")
	}
	const nobody = 65534
	base, err := os.MkdirTemp("/tmp", "lumacore-nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	// The programs, as hard links: the cache of root is closed to others.
	cache, err := programs.DefaultCache()
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command("cp", "-a", "--link", cache, filepath.Join(base, "cache")).Run() != nil { // another file system
		if out, err := exec.Command("cp", "-a", cache, filepath.Join(base, "cache")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	lumacore := filepath.Join(base, "lumacore")
	if out, err := exec.Command("cp", binary, lumacore).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Only folders are handed over: the files are shared with root's cache.
	err = filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"lab", "up"}, {"lab", "status"}, {"lab", "down", "--purge", "--yes"}} {
		cmd := exec.Command(lumacore, args...)
		cmd.Dir = base
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + base, "GOTOOLCHAIN=local",
			"LUMACORE_DIR=" + filepath.Join(base, "lab"), "LUMACORE_CACHE=" + filepath.Join(base, "cache"),
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s as another user: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
