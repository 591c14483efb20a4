package proxies_test

import "syscall"

// procAttr makes a program the head of a process group. Should the tests end without a word to it, it is asked to end, too.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
