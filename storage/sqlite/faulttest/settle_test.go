//go:build linux

package faulttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// goFile acts as the shim for the calls that Go makes without the C library, when the store settles its write-ahead
// log. Only the writer's goroutine does so, and nobody else writes then. A failed sync leaves the pages in memory.
type goFile struct {
	*os.File
	marker
	ctl control
	ino uint64
}

// watchSettling makes package settle use goFile, or do nothing, for the control.
func (w *worker) watchSettling() {
	settle.Open = func(path string) (settle.File, error) {
		if w.Store == unsettled {
			return nil, fs.ErrNotExist
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		g := &goFile{f, w.marker, w.ctl, inodeOf(f)}
		g.put(record{op: opOpen, ino: g.ino, off: -1, path: filepath.Base(path)})
		return g, nil
	}
}

func (g *goFile) WriteAt(p []byte, at int64) (int, error) {
	if g.due(ctlWrites, ctlWriteAt, ctlWriteN) && g.ctl.get(ctlWriteKind) != writeShort {
		return 0, syscall.EIO
	}
	n, err := g.File.WriteAt(p, at)
	g.put(record{op: opWrite, ino: g.ino, off: at, data: p[:n]})
	return n, err
}

func (g *goFile) Sync() error {
	const id = 1 << 40 // not an id of the shim
	g.put(record{op: opSyncBegin, ino: g.ino, arg: id})
	if g.due(ctlSyncs, ctlSyncAt, ctlSyncN) {
		g.put(record{op: opSyncFail, ino: g.ino, arg: id})
		return syscall.EIO
	}
	g.put(record{op: opSyncEnd, ino: g.ino, arg: id})
	g.ctl.set(ctlSettled, int64(g.ino))
	return nil
}

// due counts a call, and reports whether it must fail.
func (g *goFile) due(count, at, n counter) bool {
	if g.ctl.get(ctlFilter) == filterMain {
		return false
	}
	i, first, times := g.ctl.get(count)+1, g.ctl.get(at), g.ctl.get(n)
	g.ctl.set(count, i)
	if first == 0 || i < first || times >= 0 && i >= first+times {
		return false
	}
	g.ctl.set(ctlInjected, g.ctl.get(ctlInjected)+1)
	g.put(record{op: opFault, arg: uint64(count)})
	return true
}

func inodeOf(f *os.File) uint64 {
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
