// Package interop_test tests the real binary with other people's clients: unmodified npm packages.
package interop_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestMain runs a few more tests in parallel than there are processors, because they wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// leastNode is the oldest supported version of Node.js. It has EventSource behind --experimental-eventsource.
const leastNode = 20

// TestNodeClients runs other people's clients: each *.test.mjs that needs no browser. They start servers of their own
// from the binary in DUCKWIRE_BIN, and end them.
func TestNodeClients(t *testing.T) {
	checkNode(t)
	installPackages(t, ".")
	runNodeFiles(t, nodeFiles(t, false, "*.test.mjs", "*/*.test.mjs"))
}

// TestBrowser runs the tests that need Chromium: the console, Phoenix's client, and our own.
func TestBrowser(t *testing.T) {
	hubtest.Full(t, "Chromium and nginx")
	checkNode(t)
	installPackages(t, ".")
	buildClient(t)
	runNodeFiles(t, nodeFiles(t, true, "*.test.mjs", "*/*.test.mjs", clientFolder+"/test/*.test.mjs"))
}

// built is the server's binary, which all tests share.
var built struct {
	once sync.Once
	dir  string
}

// buildServer builds the binary, and returns its path.
func buildServer(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "duckwire-interop-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
		run(t, nil, "go", "build", "-o", filepath.Join(dir, "duckwire"), "github.com/duckwire/duckwire/cmd/duckwire")
	})
	return filepath.Join(built.dir, "duckwire")
}

// checkNode skips a test of the quick run if there is no Node.js. In the full run the test fails.
func checkNode(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if testing.Short() {
				t.Skipf("the JavaScript is left out: there is no %s", tool)
			}
			t.Fatalf("these tests need Node.js %d or newer with npm: %v", leastNode, err)
		}
	}
	if major := nodeMajor(t); major < leastNode {
		t.Fatalf("these tests need Node.js %d or newer; this is %d", leastNode, major)
	}
}

// nodeMajor returns the major version of the machine's Node.js.
func nodeMajor(t *testing.T) int {
	t.Helper()
	version := strings.TrimSpace(run(t, nil, "node", "--version"))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		t.Fatalf("node --version says %q", version)
	}
	return n
}

// findChromium returns the path of a browser, or "".
func findChromium() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// installPackages installs the packages that a folder's package-lock.json pins, unless they are installed.
func installPackages(t *testing.T, dir string) {
	t.Helper()
	stamp := filepath.Join(dir, "node_modules/.installed") // a copy of the lock file that was installed
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if had, err := os.ReadFile(stamp); err == nil && bytes.Equal(had, lock) {
		return
	}
	run(t, nil, "npm", "--prefix", dir, "ci", "--ignore-scripts")
	if err := os.WriteFile(stamp, lock, 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a program, which must succeed, and returns its output.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := try(t, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// try runs a program to its end and returns what it wrote. The program leads a process group of its own, so that
// processes which it started end with it.
func try(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // then it hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails if the group has ended, as it should
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errors.Join(ctx.Err(), err)
	}
	return string(out), err
}
