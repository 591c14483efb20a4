package main

import (
	"os"
	"path/filepath"
	"testing"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// inEmptyDir isolates a test from the settings of the developer who runs it.
func inEmptyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
