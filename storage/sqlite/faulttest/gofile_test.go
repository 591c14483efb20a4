//go:build linux

package faulttest

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// goFile does what the shim does, for the one file that the store writes without the C library. Only settling does so, before there are any
// connections: it never runs beside the shim.
type goFile struct {
	*os.File
	marker
	ctl  control
	name string
	ino  uint64
}

func (w *worker) openGoFile(path string) (settle.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	g := &goFile{f, w.marker, w.ctl, filepath.Base(path), info.Sys().(*syscall.Stat_t).Ino}
	g.put(record{op: opOpen, ino: g.ino, path: g.name})
	return g, nil
}

func (g *goFile) WriteAt(p []byte, at int64) (int, error) {
	g.step()
	if g.due(ctlWrites, ctlWriteAt, ctlWriteN) {
		return 0, syscall.EIO
	}
	n, err := g.File.WriteAt(p, at)
	g.put(record{op: opWrite, ino: g.ino, off: at, data: p[:n]})
	return n, err
}

func (g *goFile) Sync() error {
	g.step()
	id := uint64(1)<<40 + uint64(g.ctl.get(ctlOps))
	g.put(record{op: opSyncBegin, ino: g.ino, arg: id, path: g.name})
	g.step()
	if g.due(ctlSyncs, ctlSyncAt, ctlSyncN) {
		g.put(record{op: opSyncFail, ino: g.ino, arg: id, path: g.name})
		return syscall.EIO
	}
	g.put(record{op: opSyncEnd, ino: g.ino, arg: id, path: g.name})
	return nil
}

func (g *goFile) step() {
	g.ctl.set(ctlOps, g.ctl.get(ctlOps)+1)
	if g.ctl.get(ctlOps) == g.ctl.get(ctlKillAt) {
		g.put(record{op: opKill})
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (g *goFile) due(count, at, n counter) bool {
	if g.ctl.get(ctlFilter) == filterMain {
		return false
	}
	i := g.ctl.get(count) + 1
	g.ctl.set(count, i)
	if first, n := g.ctl.get(at), g.ctl.get(n); first == 0 || i < first || (n >= 0 && i >= first+n) {
		return false
	}
	g.ctl.set(ctlInjected, g.ctl.get(ctlInjected)+1)
	g.put(record{op: opFault, arg: uint64(count), path: g.name})
	return true
}
