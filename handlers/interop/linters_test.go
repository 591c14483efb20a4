package interop_test

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestLinters runs linters for documents: each lint.sh of the repository, which describes what it checks.
func TestLinters(t *testing.T) {
	hubtest.Full(t, "the npm packages of linters")
	checkNode(t)
	const top = "../.."
	var scripts []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "node_modules" {
			return fs.SkipDir
		}
		if entry.Name() == "lint.sh" {
			scripts = append(scripts, path)
		}
		return err
	})
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no lint.sh in the repository: %v", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Dir(script)[len(top)+1:], func(t *testing.T) {
			installPackages(t, filepath.Dir(script))
			if out, err := exec.Command(script).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
