package interop_test

import "testing"

// clientFolder is the folder of our own client package.
const clientFolder = "../../web/client"

// TestClientPackage runs the test files of the npm package that need no browser, as TestNodeClients does.
func TestClientPackage(t *testing.T) {
	checkNode(t)
	installPackages(t, ".") // which all tests use
	buildClient(t)
	runNodeFiles(t, nodeFiles(t, false, clientFolder+"/test/*.test.mjs"))
}

// buildClient lints and builds the npm package.
func buildClient(t *testing.T) {
	t.Helper()
	installPackages(t, clientFolder)
	if !testing.Short() {
		run(t, nil, "npm", "--prefix", clientFolder, "run", "--silent", "lint")
	}
	run(t, nil, "npm", "--prefix", clientFolder, "run", "--silent", "build")
}
