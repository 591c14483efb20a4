//go:build linux

package faulttest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const sector = 512

// disk is what a folder may look like after a power loss: which writes are certainly there, and which may be. It is fed the log, record by
// record. Folders below the folder are not modelled; the shim refuses them.
type disk struct {
	inodes map[uint64]*inode // by number, of the files that exist; a number may be used again
	names  map[string]*inode // what the disk certainly has
	seen   map[string]*inode // what the program sees
	moves  []move            // changes of names, not all durable
	begun  map[uint64]int    // syncs that began, and at which record
	at     int               // records so far
}

// inode is the content of a file: base, and changes of which some are durable. Changes are never reordered here: any may be missing although
// a later one is there, by the sector, which comes to the same.
type inode struct {
	base    []byte
	changes []change
}

type state byte

const (
	pending state = iota // a sync makes it durable
	durable
	lost // a sync failed: it may be on the disk, and no later sync changes that
)

type change struct {
	record int
	data   []byte // nil: the file is cut or extended to off
	off    int64
	state  state
}

// move is a change of names: a creation, an unlink (file is nil), or a rename (from is set).
type move struct {
	record     int
	name, from string
	file       *inode
	durable    bool
}

// startFile is a file that was there before the log began.
type startFile struct {
	Inode uint64
	Data  []byte
}

func readStart(dir string) (map[string]startFile, error) {
	files := map[string]startFile{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if isShm(e.Name()) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files[e.Name()] = startFile{info.Sys().(*syscall.Stat_t).Ino, b}
	}
	return files, nil
}

// newDisk starts with files that are durable.
func newDisk(start map[string]startFile) *disk {
	d := &disk{inodes: map[uint64]*inode{}, names: map[string]*inode{}, seen: map[string]*inode{}, begun: map[uint64]int{}}
	for name, f := range start {
		n := &inode{base: slices.Clone(f.Data)}
		d.names[name], d.seen[name], d.inodes[f.Inode] = n, n, n
	}
	return d
}

func isShm(path string) bool { return strings.HasSuffix(path, "-shm") }

// apply takes the next record.
func (d *disk) apply(r record) error {
	switch r.op {
	case opOpen:
		if r.arg&openDir != 0 {
			break
		}
		if r.arg&openCreated != 0 || d.inodes[r.ino] == nil { // or made by calls that the shim does not see, Go's own
			n := &inode{}
			d.inodes[r.ino], d.seen[r.path] = n, n
			d.moves = append(d.moves, move{record: d.at, name: r.path, file: n})
		} else if r.arg&openTruncated != 0 {
			d.inodes[r.ino].changes = append(d.inodes[r.ino].changes, change{record: d.at})
		}
	case opWrite, opTruncate:
		n := d.inodes[r.ino]
		if n == nil {
			return fmt.Errorf("record %d: %v: of a file that nobody opened", d.at, r)
		}
		c := change{record: d.at, off: r.off}
		if r.op == opWrite {
			c.data = r.data
		}
		n.changes = append(n.changes, c)
	case opUnlink:
		d.moves = append(d.moves, move{record: d.at, name: r.path})
		delete(d.seen, r.path)
	case opRename:
		d.moves = append(d.moves, move{record: d.at, name: string(r.data), from: r.path, file: d.seen[r.path]})
		d.seen[string(r.data)] = d.seen[r.path]
		delete(d.seen, r.path)
	case opSyncBegin:
		d.begun[r.arg&^syncOfDir] = d.at
	case opSyncEnd, opSyncFail:
		id := r.arg &^ (syncOfDir | syncEvicted)
		d.synced(r, d.begun[id])
		delete(d.begun, id)
	}
	d.at++
	return nil
}

// synced settles what was done before the sync began.
func (d *disk) synced(r record, begun int) {
	if r.arg&syncOfDir != 0 {
		if r.op == opSyncFail {
			return // names are tried again: they stay in the kernel's journal
		}
		for i := range d.moves {
			if d.moves[i].record < begun {
				d.moves[i].durable = true
			}
		}
		for len(d.moves) > 0 && d.moves[0].durable {
			d.moves[0].do(d.names)
			d.moves = d.moves[1:]
		}
		return
	}
	n := d.inodes[r.ino]
	if n == nil {
		return
	}
	for i := range n.changes {
		if c := &n.changes[i]; c.record < begun && c.state == pending {
			c.state = durable
			if r.op == opSyncFail {
				c.state = lost
			}
		}
	}
	if r.op == opSyncFail && r.arg&syncEvicted != 0 {
		n.changes = slices.DeleteFunc(n.changes, func(c change) bool { return c.state == lost })
	}
	for len(n.changes) > 0 && n.changes[0].state == durable {
		n.base = n.changes[0].whole(n.base)
		n.changes = n.changes[1:]
	}
}

func (m move) do(names map[string]*inode) {
	if m.from != "" {
		if names[m.from] != m.file {
			return // the file's own creation is missing
		}
		delete(names, m.from)
	}
	if m.file == nil {
		delete(names, m.name)
	} else {
		names[m.name] = m.file
	}
}

// whole applies a change to a content.
func (c change) whole(b []byte) []byte {
	if c.data == nil {
		return resize(b, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	if size <= int64(cap(b)) {
		n := len(b)
		b = b[:size]
		clear(b[n:])
		return b
	}
	grown := make([]byte, size, size+size/4)
	copy(grown, b)
	return grown
}

// A way is how much of what was not synced a power loss leaves.
type way int

const (
	wayNothing way = iota // nothing
	wayAll                // all: no more than the process died
	wayPrefix             // what was written up to some moment, the last write torn
	wayWhole              // any writes, each whole
	wayTorn               // any writes, some torn
	waySectors            // any sectors
	ways
)

func (w way) String() string {
	return [...]string{"nothing unsynced", "all", "a prefix", "any writes", "any writes, torn", "any sectors"}[w]
}

// image is the folder after a power loss.
type image struct {
	files map[string][]byte
	way   way // of the first file
}

// lose draws an image.
func (d *disk) lose(rng *rand.Rand) image {
	w := way(rng.IntN(int(ways)))
	img := image{files: map[string][]byte{}, way: w}
	names := d.loseNames(rng, w)
	for _, name := range sortedKeys(names) {
		of := w
		if rng.IntN(3) == 0 {
			of = way(rng.IntN(int(ways)))
		}
		img.files[name] = names[name].lose(rng, of)
	}
	return img
}

// loseNames draws which of the changes of names that were not synced are there.
func (d *disk) loseNames(rng *rand.Rand, w way) map[string]*inode {
	names := map[string]*inode{}
	for k, v := range d.names {
		names[k] = v
	}
	until := d.at
	if w == wayPrefix && d.at > 0 {
		until = rng.IntN(d.at)
	}
	for _, m := range d.moves {
		if m.durable || w == wayAll || (w == wayPrefix && m.record < until) || (w > wayPrefix && rng.IntN(2) == 0) {
			m.do(names)
		}
	}
	return names
}

// lose draws a content.
func (n *inode) lose(rng *rand.Rand, w way) []byte {
	b := slices.Clone(n.base)
	var open []int
	for i, c := range n.changes {
		if c.state != durable {
			open = append(open, i)
		}
	}
	until := -1 // the change that is torn
	if w == wayPrefix && len(open) > 0 {
		until = open[rng.IntN(len(open))]
	}
	keep := 1 + rng.IntN(9) // of ten
	for i, c := range n.changes {
		switch {
		case c.state == durable, w == wayAll, w == wayPrefix && i < until:
			b = c.whole(b)
		case w == wayNothing, w == wayPrefix && i > until:
		case w == wayPrefix:
			b = c.torn(b, rng, -1)
		case w == waySectors:
			b = c.torn(b, rng, keep)
		case rng.IntN(10) >= keep: // not there, but the size may be
			if end := c.off + int64(len(c.data)); rng.IntN(4) == 0 && end > int64(len(b)) {
				b = resize(b, end)
			}
		case w == wayTorn && rng.IntN(2) == 0:
			b = c.torn(b, rng, keep)
		default:
			b = c.whole(b)
		}
	}
	return b
}

// torn applies some sectors of a change: keep of ten, or the first few if keep is negative. Bytes of a sector that the write did not change stay.
func (c change) torn(b []byte, rng *rand.Rand, keep int) []byte {
	if c.data == nil {
		if rng.IntN(2) == 0 {
			return c.whole(b)
		}
		return b
	}
	first, end := c.off/sector, (c.off+int64(len(c.data))+sector-1)/sector
	until := first + rng.Int64N(end-first+1)
	for s := first; s < end; s++ {
		if (keep < 0 && s >= until) || (keep >= 0 && rng.IntN(10) >= keep) {
			continue
		}
		from, to := max(s*sector, c.off), min((s+1)*sector, c.off+int64(len(c.data)))
		b = change{off: from, data: c.data[from-c.off : to-c.off]}.whole(b)
	}
	return b
}

// write puts the image into an empty folder. The shared memory may be anything: SQLite promises to make it anew.
func (img image) write(dir string, rng *rand.Rand) error {
	for _, name := range sortedKeys(img.files) {
		if err := os.WriteFile(filepath.Join(dir, name), img.files[name], 0o600); err != nil {
			return err
		}
		if ext := "-shm"; filepath.Ext(name) == ".db" && rng.IntN(2) == 0 {
			junk := make([]byte, 32<<10)
			for i := range junk {
				junk[i] = byte(rng.Uint32())
			}
			if err := os.WriteFile(filepath.Join(dir, name+ext), junk, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
