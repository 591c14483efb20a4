package local

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Limits of a corpus file: larger files are mostly generated code or data.
const maxCorpusFile = 256 << 10

// skipped are folders without source code of the project itself. Folders that begin with a dot are skipped as well.
var skipped = map[string]bool{
	"node_modules": true, "vendor": true, "dist": true, "build": true, "target": true,
	"__pycache__": true,
}

// readFolder reads the text files under dir in lexical order, up to a number of files and of bytes. It skips what
// cannot be read, and does not follow links. Its error is ctx's, or that of dir.
func readFolder(ctx context.Context, dir string, files, limit int) ([][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var texts [][]byte
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			return nil
		case e.IsDir() && name != "." && (skipped[e.Name()] || strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		case len(texts) >= files || limit <= 0:
			return fs.SkipAll
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") || lock(e.Name()):
			return nil
		}
		if b, ok := readText(root, name, min(limit, maxCorpusFile)); ok {
			texts = append(texts, b)
			limit -= len(b)
		}
		return nil
	})
	return texts, err
}

// readText reads a file if it is text of at most limit bytes.
func readText(root *os.Root, name string, limit int) ([]byte, bool) {
	f, err := root.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil || len(b) == 0 || len(b) > limit || bytes.IndexByte(b, 0) >= 0 || !utf8.Valid(b) {
		return nil, false
	}
	return b, true
}

// lock reports whether a file was written by a package manager or a minifier.
func lock(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".lock" || ext == ".sum" || ext == ".map" || strings.HasSuffix(name, ".min.js") ||
		strings.HasSuffix(name, "-lock.json")
}
