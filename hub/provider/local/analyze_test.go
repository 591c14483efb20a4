package local_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local"
)

// findings is an AnalysisWriter that records the issues.
type findings struct{ issues []hub.Issue }

func (f *findings) Accepted()                      {}
func (f *findings) Progress(int) error             { return nil }
func (f *findings) FileDone(int) error             { return nil }
func (f *findings) Metadata(json.RawMessage) error { return nil }

func (f *findings) Issues(found ...hub.Issue) error {
	f.issues = append(f.issues, found...)
	return nil
}

func found(t testing.TB, kind, path, code string) []string {
	t.Helper()
	p, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var f findings
	if err := p.Analyze(t.Context(), &hub.AnalysisRequest{
		Type:  kind,
		Files: []hub.AnalysisFile{{Path: path, Code: code}},
	}, &f); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range f.issues {
		if i.File != path {
			t.Errorf("in %q: %+v", i.File, i)
		}
		list = append(list, fmt.Sprintf("%s %s %d:%d", i.Type, i.Rule, i.Line, i.Column))
	}
	return list
}

func TestBuiltInChecks(t *testing.T) {
	for _, c := range []struct{ kind, path, code, want string }{
		{"general", "a.go", "package a\n\nfunc f() {\n}\n", ""},
		{"general", "a.go", "package a\n\nfunc f( {\n}\n", "semantic syntax 3:9 semantic syntax 4:1"},
		{"semantic", "a.json", "{\n  \"a\": nope\n}\n", "semantic syntax 2:9"},
		{"semantic", "a.json", "{", "semantic syntax 1:1"},
		{"style", "a.go", "package a\n\nfunc f()  {\n}\n", "style gofmt 3:1"},
		{"semantic", "a.c", "int f() { return g(1; }\n", "semantic syntax 1:23"},
		{"semantic", "a.java", "class A { /* ) */ String s = \")\\\"\"; char c = ')'; // )\n", "semantic syntax 1:9"},
		{"semantic", "a.cpp", "int f() { return 1'000'000; }\n", ""},
		{"semantic", "a.c", "#if X\n{\n#else\n{\n#endif\n}\n", ""},
		{"semantic", "a.py", "print((\n", ""}, // unsupported language
		{"general", "a.txt", "<<<<<<< HEAD\n", "semantic merge-conflict 1:1"},
		{"security", "k", "x = '-----BEGIN RSA PRIVATE KEY-----'\n \n", "security private-key 1:6"},
		{
			"style", "a.py", "x = 1 # TODO: y\nTODOS\n  \tz\n \nlast",
			"style todo 1:9 style mixed-indent 3:1 style trailing-space 4:1 style final-newline 5:0",
		},
		{"style", "a.py", "", ""},
		{"security", "a.py", "TODO", ""},
	} {
		if got := strings.Join(found(t, c.kind, c.path, c.code), " "); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.kind, c.code, got, c.want)
		}
	}
	if got := found(t, "style", "a.py", strings.Repeat("x \n", 1000)); len(got) != 51 ||
		got[50] != "style trailing-space 0:0" {
		t.Errorf("%d, %s", len(got), got[len(got)-1])
	}
}

// FuzzChecks checks that no code causes a panic, and that every reported position is in the file.
func FuzzChecks(f *testing.F) {
	f.Add("go", "package a")
	f.Fuzz(func(t *testing.T, ext, code string) {
		p, err := local.New(local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var all findings
		// the writer never fails
		req := &hub.AnalysisRequest{Files: []hub.AnalysisFile{{Path: "a." + ext, Code: code}}}
		_ = p.Analyze(t.Context(), req, &all)
		lines := strings.Split(code, "\n")
		for _, i := range all.issues {
			if i.Line < 0 || i.Line > len(lines) || i.Line > 0 && i.Column > len(lines[i.Line-1])+1 {
				t.Errorf("%+v in %q", i, code)
			}
		}
	})
}
