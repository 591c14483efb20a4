package lint_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/lint"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{
			`./main.go:12:3: fmt.Printf format %d has arg s of wrong type string`,
			`./main.go 12:3 medium "" fmt.Printf format %d has arg s of wrong type string`,
		},
		{`vet: ./main.go:3:1: expected declaration`, `./main.go 3:1 medium "" expected declaration`},
		{`a.go:3:6: func f is unused (U1000)`, `a.go 3:6 medium "U1000" func f is unused`},
		{
			`lib/a.c:3:5: warning: unused variable 'x' [-Wunused-variable]`,
			`lib/a.c 3:5 medium "-Wunused-variable" unused variable 'x'`,
		},
		{`a.c:3:5: fatal error: no.h: No such file`, `a.c 3:5 critical "" no.h: No such file`},
		{
			`/tmp/x y/a.js:1:10: 'x' is never used. [Error/no-unused-vars]`,
			`/tmp/x y/a.js 1:10 high "no-unused-vars" 'x' is never used.`,
		},
		{
			`a.py:1:80: E501 line too long (91 > 79 characters)`,
			`a.py 1:80 medium "E501" line too long (91 > 79 characters)`,
		},
		{
			`a.py:1:0: C0114: Missing module docstring (missing-module-docstring)`,
			`a.py 1:0 medium "C0114" Missing module docstring`,
		},
		{`a.py:3: error: Incompatible types  [assignment]`, `a.py 3:0 high "assignment" Incompatible types`},
		{
			`x.sh:1:1: note: Tips depend on target shell. [SC2148]`,
			`x.sh 1:1 info "SC2148" Tips depend on target shell.`,
		},
		{
			`src/a.ts(3,5): error TS2322: Type 'string' is not assignable.`,
			`src/a.ts 3:5 high "TS2322" Type 'string' is not assignable.`,
		},
		{`C:\src\a.c:3:5: error: x`, `C:\src\a.c 3:5 high "" x`},
		{"a.go:1:2: ends with a return\r", `a.go 1:2 medium "" ends with a return`},
		{`a.go:5:3-9: a range`, `a.go 5:3 medium "" a range`},
		{`# example.com/m`, ""},
		{`	a.go:3:4: indented`, ""},
		{`exit status 1`, ""},
		{`a.go:3:`, ""},
		{`::3: x`, ""},
		{``, ""},
		{`a.go:99999999999999:1: too large`, ""},
	} {
		i, ok := lint.ParseLine(c.line)
		got := ""
		if ok {
			got = fmt.Sprintf("%s %d:%d %s %q %s", i.File, i.Line, i.Column, i.Severity, i.Rule, i.Message)
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func readSARIF(t *testing.T, text string) string {
	t.Helper()
	issues, err := lint.ReadSARIF([]byte(text))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, i := range issues {
		raw, _ := json.Marshal(i)
		all = append(all, string(raw))
	}
	return strings.Join(all, "\n")
}

func TestReadSARIF(t *testing.T) {
	text, err := os.ReadFile("testdata/staticcheck.sarif")
	if err != nil {
		t.Fatal(err)
	}
	want := `"message":"func unused is unused","file":"a.go","line":5,"column":6,"severity":"medium","rule":"U1000"`
	if got := readSARIF(t, string(text)); !strings.Contains(got, want) {
		t.Errorf("%s\nhas not\n%s", got, want)
	}
	for _, c := range []struct{ text, want string }{
		{`{"version":"2.1.0","runs":[]}`, ""},
		{
			`{"version":"2.1.0","runs":[{"artifacts":[{"location":{"uri":"file:///x/a%20b.go"}}],
			"tool":{"driver":{"rules":[{"id":"R","name":"N","messageStrings":{"d":{"text":"use {0}, not {1}"}},
				"properties":{"tags":["security"],"security-severity":"9.8"}}]}},
			"results":[{"ruleIndex":0,"message":{"id":"d","arguments":["a","b"]},"locations":[{"physicalLocation":
				{"artifactLocation":{"index":0},"region":{"startLine":2,"endLine":3}}}]}]}]}`,
			`{"type":"security","category":"N","message":"use a, not b",` +
				`"file":"/x/a b.go","line":2,"column":0,"end_line":3,"severity":"critical","rule":"R"}`,
		},
		{
			`{"version":"2.1.0","runs":[{"results":[{"kind":"pass","message":{"text":"p"}},
			{"suppressions":[{"kind":"inSource"}],"message":{"text":"s"}},
			{"ruleIndex":7,"message":{"text":"kept"}}]}]}`,
			`{"type":"","category":"","message":"kept","file":"","line":0,"column":0,"severity":"medium"}`,
		},
		{`{"version":"2.0.0","runs":[]}`, `error: it is a SARIF log of version "2.0.0"; 2.1.0 is understood`},
		{`{}`, "error: it is no SARIF log: an object with version and runs is needed"},
		{"\ufeff{\"version\":\"2.1.0\",\"runs\":[]}", ""},
	} {
		if got := readSARIF(t, c.text); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	if got := readSARIF(t, "a.go:1:1: x"); !strings.HasPrefix(got, "error: it is no SARIF log") {
		t.Error(got)
	}
}

// FuzzParseLine: an issue's file and line are contained in the parsed line, and nothing panics.
func FuzzParseLine(f *testing.F) {
	f.Add("a.go:1:2: x")
	f.Fuzz(func(t *testing.T, line string) {
		i, ok := lint.ParseLine(line)
		if ok && (i.File == "" || i.Message == "" || i.Line < 0 || i.Column < 0 || !strings.Contains(line, i.File)) {
			t.Errorf("%+v", i)
		}
		if n := i.Normal("style"); ok && (n.Message == "" || n.Severity == "") {
			t.Errorf("%+v", n)
		}
	})
}

// FuzzReadSARIF: nothing panics, and after an error there are no issues.
func FuzzReadSARIF(f *testing.F) {
	f.Add([]byte(`{"version":"2.1.0","runs":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		issues, err := lint.ReadSARIF(data)
		if err != nil && issues != nil {
			t.Errorf("%v and %d issues", err, len(issues))
		}
		for i := range issues {
			if n := issues[i].Normal("style"); n.Message == "" || n.Line < 0 || n.Column < 0 {
				t.Errorf("%+v", n)
			}
		}
	})
}
