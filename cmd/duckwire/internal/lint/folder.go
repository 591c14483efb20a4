package lint

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// Folder is a new folder that contains a job's files.
type Folder struct {
	dir, real string            // its path as created, and without symbolic links
	files     []string          // the files' paths in it, with slashes
	names     map[string]string // their names in the job
}

// NewFolder creates a folder with the files. Paths are relative to the folder, and a .. that would leave it has no
// effect. The caller must remove the folder.
func NewFolder(files []hub.AnalysisFile) (_ *Folder, err error) {
	dir, err := os.MkdirTemp("", "duckwire-job-")
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, real: dir, names: make(map[string]string)}
	defer func() {
		if err != nil {
			f.Remove()
		}
	}()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		f.real = real
	}
	root, err := os.OpenRoot(dir) // cannot leave the folder, even if safePath has a defect
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for i := range files {
		if err := f.write(root, &files[i]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Folder) Remove() {
	_ = os.RemoveAll(f.dir) // after an error the system removes temporary folders
}

func (f *Folder) write(root *os.Root, file *hub.AnalysisFile) error {
	name := safePath(file.Path)
	if name != "" && path.Ext(name) == "" { // linters need an extension, and editors send buffers without one
		name += extensions[strings.ToLower(file.Language)]
	}
	if name == "" || f.names[name] != "" {
		return fmt.Errorf("the path %q stands for no file of its own", file.Path)
	}
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return fmt.Errorf("the file %q: %w", file.Path, err)
	}
	if err := root.WriteFile(name, []byte(file.Code), 0o600); err != nil {
		return fmt.Errorf("the file %q: %w", file.Path, err)
	}
	f.names[name] = file.Path
	f.files = append(f.files, name)
	return nil
}

// extensions maps the names that editors use for languages to file name extensions.
var extensions = map[string]string{
	"bash": ".sh", "c": ".c", "c#": ".cs", "c++": ".cpp", "cpp": ".cpp", "csharp": ".cs", "css": ".css",
	"elixir": ".ex", "go": ".go", "golang": ".go", "html": ".html", "java": ".java", "javascript": ".js",
	"javascriptreact": ".jsx", "json": ".json", "kotlin": ".kt", "lua": ".lua", "markdown": ".md", "php": ".php",
	"python": ".py", "ruby": ".rb", "rust": ".rs", "scala": ".scala", "sh": ".sh", "shell": ".sh",
	"shellscript": ".sh", "sql": ".sql", "swift": ".swift", "typescript": ".ts", "typescriptreact": ".tsx",
	"yaml": ".yaml",
}

// safePath turns a path into one below the folder: "/a.go", "../a.go" and "C:\a.go" all become a.go.
func safePath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) > 1 && p[1] == ':' {
		p = p[2:]
	}
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// AddGoMod makes the folder a Go module if it contains Go files outside of a module, which Go's tools reject.
func (f *Folder) AddGoMod(ctx context.Context) error {
	for _, name := range f.files {
		if strings.HasSuffix(name, ".go") && !f.inModule(name) {
			text := "module job\n\ngo " + goVersion(ctx) + "\n"
			return os.WriteFile(filepath.Join(f.dir, "go.mod"), []byte(text), 0o600)
		}
	}
	return nil
}

// inModule reports whether the job has a go.mod in the file's folder or above.
func (f *Folder) inModule(name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if f.names[path.Join(dir, "go.mod")] != "" {
			return true
		}
		if dir == "." {
			return false
		}
	}
}

// goVersion returns the language version of the installed Go.
func goVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	version, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "go")
	if parts := strings.SplitN(version, ".", 3); err == nil && ok && len(parts) > 1 {
		return parts[0] + "." + strings.TrimRight(parts[1], "-abcdefghijklmnopqrstuvwxyz")
	}
	return "1.22" // Go is not installed; linters that read go.mod accept this version
}

// own returns the job's name for a file that a tool reported. ok is false if the file is not the job's.
func (f *Folder) own(reported string) (name string, ok bool) {
	p := filepath.ToSlash(reported)
	for _, dir := range []string{f.dir, f.real} {
		p = strings.TrimPrefix(p, filepath.ToSlash(dir)+"/")
	}
	name, ok = f.names[path.Clean(p)]
	return name, ok
}

// hide removes the folder's path, which is random and of no use to the reader, from a text.
func (f *Folder) hide(text string) string {
	for _, dir := range []string{f.real, f.dir} {
		text = strings.ReplaceAll(text, dir+string(filepath.Separator), "")
		text = strings.ReplaceAll(text, dir, ".")
	}
	return text
}

// command replaces {} by the folder and {files} by all files. The folder is added to a command without arguments.
func (f *Folder) command(argv []string) []string {
	if len(argv) == 1 {
		return []string{argv[0], "."}
	}
	filled := argv[:1:1]
	for _, arg := range argv[1:] {
		switch arg {
		case "{}":
			filled = append(filled, ".")
		case "{files}":
			for _, name := range f.files {
				filled = append(filled, "./"+name) // so that no name can be an option
			}
		default:
			filled = append(filled, arg)
		}
	}
	return filled
}
