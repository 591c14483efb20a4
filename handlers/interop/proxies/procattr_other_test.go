//go:build unix && !linux

package proxies_test

import "syscall"

// procAttr makes a program the leader of a process group.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
