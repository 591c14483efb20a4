package web_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository is the top folder of the repository.
const repository = ".."

// fenced matches blocks of code, quoted matches text between backticks, and linked matches a link within the
// repository.
var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
	quoted = regexp.MustCompile("`([^`\n]+)`")
	linked = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)\s]*)?\)`)
)

// fileName matches names that only files of a repository have, with or without folders. A * stands for a part of a
// name.
var fileName = regexp.MustCompile(`^[\w.*/-]*\w\.(go|md|ts|js|mjs|lua|sh|ya?ml|json|conf|cfg|txt|txtar)$`)

// TestDocumentsCiteWhatExists looks up the files that documents cite: by their paths from the top or from the document,
// or by the end of their paths. Where a document names something in a Go file ("hub/hub.go: Hub.Close"), the file must
// declare it.
func TestDocumentsCiteWhatExists(t *testing.T) {
	files := filesOf(t)
	found := 0
	for _, document := range files {
		if path.Ext(document) != ".md" {
			continue
		}
		raw, err := fs.ReadFile(os.DirFS(repository), document)
		if err != nil {
			t.Fatal(err)
		}
		text := fenced.ReplaceAllString(string(raw), "")
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			found++
			if target := path.Join(path.Dir(document), m[1]); !exists(files, target) {
				t.Errorf("%s links to %s, which does not exist", document, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			file, name, _ := strings.Cut(m[1], ": ")
			if !citesFile(files, file) {
				continue
			}
			found++
			full := find(files, path.Dir(document), file)
			if full == "" {
				t.Errorf("%s cites `%s`, which does not exist", document, file)
			} else if name != "" && path.Ext(full) == ".go" && !slices.Contains(declared(t, full), name) {
				t.Errorf("%s cites `%s`: %s does not declare %s", document, m[1], full, name)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d citations were found: are they written in another way now?", found)
	}
}

// filesOf returns all files of the repository except generated and downloaded ones.
func filesOf(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(repository), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "duckwire-data"}, d.Name()):
			return fs.SkipDir
		case !d.IsDir():
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// citesFile reports whether text in backticks refers to a file or a folder of the repository: it looks like a file
// name, or its first part is a folder at the top.
func citesFile(files []string, text string) bool {
	first, _, deep := strings.Cut(text, "/")
	switch {
	case first == "", strings.ContainsAny(text, " {<$"): // a path of the API or of the machine, or a command
		return false
	case text == "duckwire.yaml": // the user's own
		return false
	}
	return fileName.MatchString(text) || deep && exists(files, first)
}

// find returns the file or folder that a document in a folder cites, or "".
func find(files []string, folder, cited string) string {
	cited = strings.TrimSuffix(cited, "/")
	for _, name := range []string{cited, path.Join(folder, cited)} {
		if exists(files, name) {
			return name
		}
	}
	for _, file := range files {
		if end := lastParts(file, strings.Count(cited, "/")+1); matches(cited, end) {
			return file
		}
	}
	return ""
}

// exists reports whether there is a file or folder with that path, which may contain a *.
func exists(files []string, name string) bool {
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.HasPrefix(file, name+"/") || matches(name, file)
	})
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// lastParts returns the last n parts of a path.
func lastParts(file string, n int) string {
	parts := strings.Split(file, "/")
	return strings.Join(parts[max(0, len(parts)-n):], "/")
}

// declared returns the names that a Go file declares: functions, types, variables and constants by name, methods as
// Type.Name and as Name.
func declared(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path.Join(repository, file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
			if d.Recv != nil {
				names = append(names, receiver(d.Recv.List[0].Type)+"."+d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
