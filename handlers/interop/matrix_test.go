package interop_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// The client matrix: other people's clients of OpenAI's API read the same through the server as directly from the
// upstream. matrix/lib/cases.mjs is the table, and lists what may differ.

// TestMatrixOpenAI is the matrix for the last four majors of OpenAI's npm package.
func TestMatrixOpenAI(t *testing.T) {
	runMatrix(t, "matrix/openai")
}

// TestMatrixSDKs is the matrix for frameworks on top of OpenAI's and Mistral's API.
func TestMatrixSDKs(t *testing.T) {
	hubtest.Full(t, "many npm packages")
	runMatrix(t, "matrix/sdks")
}

// TestMatrixGo is the matrix for OpenAI's Go package in its last two majors, and sashabaranov/go-openai.
func TestMatrixGo(t *testing.T) {
	hubtest.Full(t, "Go modules of other people's clients")
	runMatrix(t, "matrix/goclients", "GOCLIENTS="+buildGoClients(t, "goclients"))
}

// TestMatrixReaders is the matrix for clients of event streams and of Phoenix's socket: each reads a topic and a stream
// over a connection that is cut a hundred times. web/docs/clients.md has the table.
func TestMatrixReaders(t *testing.T) {
	checkNode(t)
	installPackages(t, ".")
	var env []string
	if !testing.Short() {
		env = append(env, "GOREADERS="+buildGoClients(t, "goreaders"))
	}
	runMatrix(t, "matrix/readers", env...)
}

// TestAgents lets coding agents of the command line do a small job.
func TestAgents(t *testing.T) {
	hubtest.Full(t, "coding agents, as large npm packages")
	runMatrix(t, "matrix/agents")
}

// runMatrix runs the test files of a folder that has npm packages of its own, if it has any.
func runMatrix(t *testing.T, dir string, env ...string) {
	t.Helper()
	checkNode(t)
	if _, err := os.Stat(filepath.Join(dir, "package-lock.json")); err == nil {
		installPackages(t, dir)
	}
	env = append(env, "PATH="+matrixPath(t))
	runNodeFiles(t, nodeFiles(t, false, dir+"/*.test.mjs"), env...)
}

// newestNode is what the newest clients need.
const newestNode = 22

// matrixPath returns a PATH on which node is new enough for all clients. The quick run uses the machine's Node.js, and
// leaves out clients that need a newer one.
func matrixPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PATH")
	if testing.Short() || nodeMajor(t) >= newestNode {
		return path
	}
	const dir = "matrix/node"
	installPackages(t, dir)
	found, err := filepath.Glob(filepath.Join(dir, "node_modules/node-*/bin"))
	if err != nil || len(found) == 0 {
		t.Logf("clients that need Node.js %d are left out: npm has none for this machine", newestNode)
		return path
	}
	bin, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return bin + string(os.PathListSeparator) + path
}

// buildGoClients builds Go clients, which are a module of their own in a folder of matrix, and returns the binary's path.
func buildGoClients(t *testing.T, module string) string {
	t.Helper()
	binary := filepath.Join(filepath.Dir(buildServer(t)), module)
	run(t, nil, "go", "build", "-C", "matrix/"+module, "-o", binary, ".")
	return binary
}
