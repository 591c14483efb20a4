package interop_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// nodeResult is the result of one test as lib/reporter.mjs prints it.
type nodeResult struct {
	Name, Skip, Words string
	OK                bool
	Seconds           float64
	notes             []string
}

// hung is the time limit of a test of Node's, in milliseconds.
const hung = "600000"

// screen is how many lines of notes are shown of a failed test.
const screen = 30

// fullOnly matches the line of a file that the quick run omits.
var fullOnly = regexp.MustCompile(`(?m)^// Only in make test-all: it needs (.*)\.$`)

// runNodeFiles runs files of Node's tests, each as a Go test with a subtest for each of the file's tests.
func runNodeFiles(t *testing.T, files []string, env ...string) {
	t.Helper()
	if len(files) == 0 {
		t.Fatal("no tests here")
	}
	binary := buildServer(t)
	t.Parallel()
	for _, file := range files {
		name := strings.TrimSuffix(filepath.ToSlash(strings.TrimPrefix(file, clientFolder+"/test/")), ".test.mjs")
		t.Run(name, func(t *testing.T) {
			if needs := fullOnly.FindSubmatch(readFile(t, file)); needs != nil {
				hubtest.Full(t, string(needs[1]))
			}
			t.Parallel()
			reportNode(t, runNode(t, file, append(env, "DUCKWIRE_BIN="+binary)))
		})
	}
}

// runNode runs the tests of a file, and returns the results.
func runNode(t *testing.T, file string, env []string) (results []nodeResult) {
	t.Helper()
	// Node's warnings about its experiments would hide our messages. Some clients leave timers behind that run for a
	// minute.
	args := []string{
		"--experimental-eventsource", "--test", "--test-force-exit",
		"--test-timeout=" + hung, "--test-reporter=./lib/reporter.mjs",
	}
	if pattern := nodePattern(t.Name()); pattern != "" {
		args = append(args, "--test-name-pattern="+pattern)
	}
	env = append(env, "NODE_NO_WARNINGS=1", "CHROMIUM="+findChromium())
	if testing.Short() {
		env = append(env, "QUICK=1")
	}
	// The program env finds node on the PATH of this environment, which may differ from ours.
	out, err := try(t, env, "env", append(append([]string{"node"}, args...), file)...)
	var said []string
	for line := range strings.Lines(out) {
		var r struct {
			nodeResult
			Note, Said string
		}
		last := len(results) - 1
		switch {
		case json.Unmarshal([]byte(line), &r) != nil:
			said = append(said, strings.TrimRight(line, "\n"))
		case r.Name != "":
			r.notes, said = said, nil
			results = append(results, r.nodeResult)
		case r.Said != "":
			said = append(said, r.Said)
		case last >= 0:
			results[last].notes = append(results[last].notes, r.Note)
		}
	}
	if err != nil && !hasFailed(results) || len(results) == 0 {
		t.Fatalf("node did not run the tests of %s: %v\n%s", file, err, strings.Join(lastOf(said), "\n"))
	}
	return results
}

func hasFailed(results []nodeResult) bool {
	for i := range results {
		if !results[i].OK {
			return true
		}
	}
	return false
}

// reportNode reports each of Node's tests as a Go test.
func reportNode(t *testing.T, results []nodeResult) {
	t.Helper()
	for _, r := range results {
		t.Run(strings.ReplaceAll(r.Name, "/", "|"), func(t *testing.T) {
			t.Logf("%.1f s", r.Seconds)
			switch {
			case r.Skip != "":
				t.Skip(r.Skip)
			case !r.OK:
				t.Errorf("%s\n%s", r.Words, strings.Join(lastOf(r.notes), "\n"))
			}
		})
	}
}

// lastOf returns the last lines, as many as fit on a screen.
func lastOf(notes []string) []string {
	lines := strings.Split(strings.Join(notes, "\n"), "\n")
	return lines[max(0, len(lines)-screen):]
}

// nodePattern returns the pattern for the names of Node's tests if -run names some in the file of a test, else "". Node
// compares the pattern with the last part of a name only.
func nodePattern(test string) string {
	levels := strings.Split(flag.Lookup("test.run").Value.String(), "/")
	depth := strings.Count(test, "/") + 1
	if len(levels) <= depth {
		return ""
	}
	names := strings.Split(strings.Join(levels[depth:], "/"), "›")
	return strings.ReplaceAll(strings.Trim(names[len(names)-1], "^$_ "), "_", ".")
}

var importsBrowser = regexp.MustCompile(`(?m)^import .*lib/(browser|console)\.mjs'`)

// nodeFiles returns the files of Node's tests that match, either those that drive a browser or the others.
func nodeFiles(t *testing.T, browser bool, patterns ...string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range matches {
			if importsBrowser.Match(readFile(t, file)) == browser {
				files = append(files, file)
			}
		}
	}
	return files
}

// TestReporter checks lib/reporter.mjs and the parsing of its output with a file whose tests fail on purpose.
func TestReporter(t *testing.T) {
	checkNode(t)
	results := runNode(t, "lib/testdata/failing.mjs", nil)
	var got bytes.Buffer
	for _, r := range results {
		fields := []string{r.Name, r.Skip, strings.Join(r.notes, ","), strings.Join(strings.Fields(r.Words), " ")}
		got.WriteString(strings.Join(fields, "|") + "\n")
	}
	for _, want := range []string{
		"passes||said,noted|\n",
		"is left out|no reason||\n",
		"outer › inner|||Expected values to be strictly equal: 1 !== 2",
		"outer|||'1 subtest failed'\n",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("it has no line %q:\n%s", want, got.String())
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
