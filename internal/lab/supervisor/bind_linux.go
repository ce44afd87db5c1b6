package supervisor

import "syscall"

// bind has the kernel kill the process when the one that started it ends.
func bind(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
