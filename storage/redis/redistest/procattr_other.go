//go:build unix && !linux

package redistest

import "syscall"

// procAttr makes a server the head of a process group.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
