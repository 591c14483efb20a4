// Tally reads the files of gotestsum --jsonfile, one for each part of a test run. It prints a table of the parts, the
// command that runs each failed test alone, and the number of tests that passed. Its exit code is 1 if a test failed or
// no test ran.
//
//	tally [-table] FILE...
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const module = "github.com/duckwire/duckwire"

// event is a line of go test -json, as cmd/test2json documents it.
type event struct {
	Time                          time.Time
	Action, Package, Test, Output string
}

// part has the results of one file, which is one part of the run.
type part struct {
	name        string
	begin, end  time.Time
	passed      int
	failed      []testName
	skipped     map[string]int // by reason
	skips       int
	lastOutput  map[testName]string
	ranInFailed map[string]bool // packages in which a test failed
}

// testName names a test, or without Test a whole package.
type testName struct{ Package, Test string }

func main() {
	table := flag.Bool("table", false, "print a table of the parts")
	flag.Parse()
	parts, err := readAll(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *table {
		printTable(os.Stdout, parts)
	}
	os.Exit(conclude(os.Stdout, parts))
}

func readAll(files []string) (parts []*part, err error) {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p := newPart(strings.TrimSuffix(filepath.Base(file), ".json"))
		if err := p.read(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func newPart(name string) *part {
	return &part{
		name: name, skipped: map[string]int{}, lastOutput: map[testName]string{},
		ranInFailed: map[string]bool{},
	}
}

func (p *part) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // go build writes lines that are not JSON
		}
		p.take(&e)
	}
	return lines.Err()
}

func (p *part) take(e *event) {
	if !e.Time.IsZero() {
		if p.begin.IsZero() {
			p.begin = e.Time
		}
		p.end = e.Time
	}
	n := testName{e.Package, e.Test}
	switch e.Action {
	case "output":
		p.lastOutput[n] = lastLine(p.lastOutput[n], e.Output)
	case "pass":
		if e.Test != "" {
			p.passed++
		}
	case "skip":
		if e.Test != "" {
			p.skips++
			p.skipped[reason(p.lastOutput[n])]++
		}
	case "fail":
		p.fail(n)
	}
}

// fail records a failed test. A failed package is only recorded if none of its tests failed: it does not build, or its
// TestMain failed.
func (p *part) fail(n testName) {
	if n.Test == "" && p.ranInFailed[n.Package] {
		return
	}
	p.ranInFailed[n.Package] = true
	p.failed = append(p.failed, n)
}

// lastLine returns output, or before if output is blank or a marker of the test framework.
func lastLine(before, output string) string {
	line := strings.TrimSpace(output)
	if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
		return before
	}
	return line
}

var place = regexp.MustCompile(`^\S+\.go:\d+: `)

func reason(output string) string { return place.ReplaceAllString(output, "") }

func printTable(w io.Writer, parts []*part) {
	wide := len("part")
	for _, p := range parts {
		wide = max(wide, len(p.name))
	}
	fmt.Fprintf(w, "\n%-*s  %6s  %6s  %6s  skipped, and why\n", wide, "part", "tests", "failed", "time")
	for _, p := range parts {
		took := p.end.Sub(p.begin).Round(time.Second)
		fmt.Fprintf(w, "%-*s  %6d  %6d  %3d:%02d  %s\n", wide, p.name, p.passed+len(p.failed), len(p.failed),
			int(took.Minutes()), int(took.Seconds())%60, p.why())
	}
}

// why returns why tests were skipped, with numbers.
func (p *part) why() string {
	if p.skips == 0 {
		return "-"
	}
	var reasons []string
	for why, n := range p.skipped {
		reasons = append(reasons, fmt.Sprintf("%d: %s", n, why))
	}
	slices.Sort(reasons)
	return strings.Join(reasons, "; ")
}

// conclude prints the commands that run the failed tests, and how many tests passed. It returns the exit code.
func conclude(w io.Writer, parts []*part) int {
	passed, skipped, failed := 0, 0, []testName(nil)
	for _, p := range parts {
		passed += p.passed
		skipped += p.skips
		failed = append(failed, p.failed...)
	}
	leaves := leavesOf(failed)
	if len(leaves) > 0 {
		fmt.Fprintln(w, "\nTo run alone what failed:")
	}
	for _, n := range leaves {
		fmt.Fprintln(w, "  "+alone(n))
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", passed, len(failed), skipped)
	if len(failed) > 0 || passed == 0 {
		return 1
	}
	return 0
}

// leavesOf returns the failed tests without failed subtests: if TestX/a failed, TestX failed, too.
func leavesOf(failed []testName) (leaves []testName) {
	for _, n := range failed {
		inner := func(other testName) bool {
			return other.Package == n.Package && n.Test != "" && strings.HasPrefix(other.Test, n.Test+"/")
		}
		if !slices.ContainsFunc(failed, inner) {
			leaves = append(leaves, n)
		}
	}
	return leaves
}

// alone returns the command that runs one test.
func alone(n testName) string {
	folder := "." + strings.TrimPrefix(n.Package, module)
	if n.Test == "" {
		return "make test PKG=" + folder
	}
	levels := strings.Split(n.Test, "/")
	for i, level := range levels {
		// a quote would end the shell's quoting
		levels[i] = "^" + strings.ReplaceAll(regexp.QuoteMeta(level), "'", ".") + "$"
	}
	// A $ is doubled for make.
	return fmt.Sprintf("make test PKG=%s RUN='%s'", folder, strings.ReplaceAll(strings.Join(levels, "/"), "$", "$$"))
}
