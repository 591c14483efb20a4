//go:build !linux

package bench

import "os/exec"

func dieWithParent(*exec.Cmd) {}

// processUsage knows nothing where there is no /proc: the report then has counts and times alone.
func processUsage(int) usage { return usage{} }
