package interop_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// clientFolder is our own client package.
const clientFolder = "../../web/client"

// TestClientPackage builds the npm package, and runs each of its test files against the real server, as TestNodeClients does.
func TestClientPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("the client package is left out by -short: it needs node, npm packages and a minute")
	}
	checkNode(t)
	installPackages(t, clientFolder)
	installPackages(t, ".") // what tests share
	run(t, nil, "npm", "--prefix", clientFolder, "run", "--silent", "lint")
	run(t, nil, "npm", "--prefix", clientFolder, "run", "--silent", "build")
	binary := buildServer(t)
	files, err := filepath.Glob(clientFolder + "/test/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", clientFolder, err)
	}
	t.Parallel()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			runNodeTests(t, binary, file)
		})
	}
}
