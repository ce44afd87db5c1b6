// Package scratch makes folders for temporary files in places where anybody may create
// folders, such as /tmp and /dev/shm.
package scratch

import (
	"os"
	"syscall"

	"lumacore.dev/lumacore/internal/report"
)

// Make makes a folder that only this user can read. One that is there already must be
// such a folder; next says what to do if it is not.
func Make(dir, next string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !ours(fi) || fi.Mode().Perm() != 0o700 {
		return report.Refuse(next, "%s is not a folder that only this user can read", dir)
	}
	return nil
}

// Remove deletes a folder if it is this user's.
func Remove(dir string) error {
	if fi, err := os.Lstat(dir); err == nil && ours(fi) {
		return os.RemoveAll(dir)
	}
	return nil
}

// ours reports whether a file is a folder of this user.
func ours(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && int(st.Uid) == os.Getuid()
}
