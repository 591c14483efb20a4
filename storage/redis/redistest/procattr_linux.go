package redistest

import "syscall"

// procAttr makes a server the head of a process group. Should the tests end without a word to it, it is killed.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
