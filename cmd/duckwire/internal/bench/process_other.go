//go:build !linux

package bench

import "os/exec"

func dieWithParent(*exec.Cmd) {}

// processUsage returns an unknown usage: without /proc the report has only counts and times.
func processUsage(int) usage { return usage{} }
