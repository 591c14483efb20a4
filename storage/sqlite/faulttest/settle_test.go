//go:build linux

package faulttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// goFile logs what the store does without the C library, where the shim does not see it: it settles its log. No connection is open then, so
// nothing runs beside it.
type goFile struct {
	*os.File
	marker
	ino   uint64
	syncs uint64
}

// watchSettling puts goFile below package settle; or nothing at all, for the control.
func (w *worker) watchSettling() {
	settle.Open = func(path string) (settle.File, error) {
		if w.Store == unsettled {
			return nil, fs.ErrNotExist
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		g := &goFile{File: f, marker: w.marker, ino: inodeOf(f)}
		g.put(record{op: opOpen, ino: g.ino, path: filepath.Base(path)})
		return g, nil
	}
}

func (g *goFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := g.File.WriteAt(p, at)
	g.put(record{op: opWrite, ino: g.ino, off: at, data: p[:n]})
	return n, err
}

func (g *goFile) Sync() error {
	g.syncs++
	id := 1<<40 + g.syncs // no id of the shim's
	g.put(record{op: opSyncBegin, ino: g.ino, arg: id})
	g.put(record{op: opSyncEnd, ino: g.ino, arg: id})
	return nil
}

func inodeOf(f *os.File) uint64 {
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
