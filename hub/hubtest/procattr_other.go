//go:build unix && !linux

package hubtest

import "syscall"

// ProcAttr makes a program the head of a process group.
func ProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
