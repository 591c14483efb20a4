//go:build unix && !linux

package hubtest

import "syscall"

// ProcAttr puts a child process into a process group of its own.
func ProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
