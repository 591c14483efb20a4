package proxies_test

import "syscall"

// procAttr makes a program the leader of a process group. If the tests are killed, the program is terminated too.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
