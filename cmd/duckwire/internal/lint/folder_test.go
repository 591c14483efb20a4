package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

func TestLintFolder(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"a.go": "a.go", "../../etc/passwd": "etc/passwd", "/etc/passwd": "etc/passwd",
		`C:\x\a.go`: "x/a.go", `..\..\a.go`: "a.go", "a/../../b.go": "b.go", "..": "", "/": "", "./a//b.go": "a/b.go",
	} {
		if got := safePath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f, err := NewFolder([]hub.AnalysisFile{
		{Path: "/lib/a.go", Code: "package a"}, {Path: "../b.txt", Code: "b"}, {Path: "temp_file", Language: "Go"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Remove()
	if err := f.AddGoMod(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(f.dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module job\n\ngo 1.") {
		t.Errorf("%s %v", text, err)
	}
	for reported, want := range map[string]string{
		"lib/a.go": "/lib/a.go", "./lib/a.go": "/lib/a.go", f.dir + "/b.txt": "../b.txt",
		f.real + "/lib/a.go": "/lib/a.go", "lib/../b.txt": "../b.txt", "./temp_file.go": "temp_file",
		"go.mod": "", "/etc/passwd": "", "": "", "..": "",
	} {
		if got, _ := f.own(reported); got != want {
			t.Errorf("%s: %q, want %q", reported, got, want)
		}
	}
	own, err := NewFolder([]hub.AnalysisFile{{Path: "x/go.mod", Code: "module x\n"}, {Path: "x/y/a.go"}, {Path: "b.py"}})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Remove()
	if err := own.AddGoMod(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(own.dir, "go.mod")); !os.IsNotExist(err) {
		t.Errorf("a module around one that came: %v", err)
	}
	for _, files := range [][]hub.AnalysisFile{
		{{Path: "a"}, {Path: "/a"}}, {{Path: ".."}}, {{Path: "a"}, {Path: "a/b"}}, {{Path: strings.Repeat("x", 1000)}},
	} {
		if f, err := NewFolder(files); err == nil {
			f.Remove()
			t.Errorf("%+v: taken", files)
		}
	}
}
