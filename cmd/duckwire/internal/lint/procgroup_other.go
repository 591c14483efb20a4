//go:build !unix

package lint

import "os/exec"

// ownGroup does nothing: on this system only the command itself is killed when its context ends.
func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
