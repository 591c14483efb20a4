//go:build linux

package faulttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// shimDir is the folder of the compiled shim.
var shimDir string

var shim = sync.OnceValues(func() (string, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "faulttest-shim-")
	if err != nil {
		return "", err
	}
	shimDir = dir
	so := filepath.Join(dir, "shim.so")
	build := exec.Command(gcc, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", so, "testdata/shim.c",
		"-ldl", "-lpthread")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %v\n%s", err, out)
	}
	return so, nil
})

func needShim(t testing.TB) string {
	t.Helper()
	so, err := shim()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("SKIPPED: nothing is injected below SQLite, for there is no gcc to build the shim with")
	}
	must(t, err)
	return so
}
