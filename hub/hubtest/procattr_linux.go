package hubtest

import "syscall"

// ProcAttr makes a program the head of a process group. Should the tests end without a word to it, it is killed.
func ProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
