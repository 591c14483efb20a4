//go:build linux

package faulttest

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A counter is a word of the control page; testdata/shim.c tells what each means.
type counter int

const (
	ctlLoaded counter = iota
	ctlWrites
	ctlSyncs
	ctlOthers
	ctlOps
	ctlInjected
	ctlFilter
	ctlWriteAt
	ctlWriteN
	ctlWriteKind
	ctlWriteErrno
	ctlSyncAt
	ctlSyncN
	ctlSyncErrno
	ctlSyncEvict
	ctlOtherAt
	ctlOtherN
	ctlOtherErrno
	ctlSpace
	ctlKillAt
	ctlKillSync
	ctlKillAfter
	ctlDelay
	ctlLie
	ctlSettled
	ctlStopped
	ctlBusy
	ctlWords
)

const (
	filterAll int64 = iota
	filterWAL
	filterMain
)

const (
	writeFails int64 = iota // nothing is written
	writeShort              // a part is written, and the call reports that
	writeTorn               // a part is written, and the call fails
)

// control is the page that the shim and the tests share.
type control struct{ words *[ctlWords]int64 }

const controlPage = 4096

func newControl(path string) (control, error) {
	if err := os.WriteFile(path, make([]byte, controlPage), 0o600); err != nil {
		return control{}, err
	}
	c, err := openControl(path)
	if err == nil {
		c.set(ctlSpace, -1)
	}
	return c, err
}

func openControl(path string) (control, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return control{}, err
	}
	defer f.Close()
	page, err := syscall.Mmap(int(f.Fd()), 0, controlPage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return control{}, err
	}
	return control{(*[ctlWords]int64)(unsafe.Pointer(&page[0]))}, nil
}

func (c control) close() {
	_ = syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(c.words)), controlPage))
}

func (c control) get(w counter) int64    { return atomic.LoadInt64(&c.words[w]) }
func (c control) set(w counter, v int64) { atomic.StoreInt64(&c.words[w], v) }

// stop prevents further calls of this process that change files. When it returns, all earlier ones are in the log.
func (c control) stop() {
	for c.set(ctlStopped, 1); c.get(ctlBusy) != 0; {
		runtime.Gosched()
	}
}

// heal clears all faults.
func (c control) heal() {
	for _, w := range []counter{ctlWriteAt, ctlSyncAt, ctlOtherAt, ctlKillAt, ctlKillSync, ctlKillAfter} {
		c.set(w, 0)
	}
	c.set(ctlSpace, -1)
}
