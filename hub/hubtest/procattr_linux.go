package hubtest

import "syscall"

// ProcAttr puts a child process into a process group of its own. The kernel kills the child if the test process dies.
func ProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
