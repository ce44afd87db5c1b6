//go:build !linux

package supervisor

import "syscall"

// bind does nothing: only Linux can do it.
func bind(*syscall.SysProcAttr) {}
