//go:build linux

package faulttest

import (
	"fmt"
	"slices"
)

// disk models what a folder may look like after a power loss: which writes are certainly durable, and which may be. It
// is fed the log, record by record. Subfolders are not modelled; the shim refuses them.
type disk struct {
	inodes map[uint64]*inode // by number, of the files that exist; a number may be used again
	names  map[string]*inode // names that are certainly on the disk
	seen   map[string]*inode // names as the program sees them
	moves  []move            // changes of names, not all durable
	begun  map[uint64]int    // syncs that began, and at which record
	at     int               // records so far
}

// inode is the content of a file: a durable base, and changes of which some are durable. Changes are not reordered
// here: an earlier change may be missing while a later one is there, down to the sector, which is equivalent.
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

func newDisk() *disk {
	return &disk{
		inodes: map[uint64]*inode{}, names: map[string]*inode{}, seen: map[string]*inode{},
		begun: map[uint64]int{},
	}
}

// apply applies the next record.
func (d *disk) apply(r record) error {
	switch r.op {
	case opOpen:
		switch n := d.inodes[r.ino]; {
		case r.arg&openDir != 0:
		// or truncated by Go just before, which the shim does not see
		case r.arg&openCreated != 0, n == nil && r.off == 0:
			n = &inode{}
			d.inodes[r.ino], d.seen[r.path] = n, n
			d.moves = append(d.moves, move{record: d.at, name: r.path, file: n})
		case n == nil:
			return fmt.Errorf("record %d: %v: of a file that was made unseen", d.at, r)
		case r.arg&openTruncated != 0:
			n.changes = append(n.changes, change{record: d.at})
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

// synced handles the end of a sync: it covers what was done before it began.
func (d *disk) synced(r record, begun int) {
	if r.arg&syncOfDir != 0 {
		if r.op == opSyncFail {
			return // names stay in the kernel's journal, and are written again
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

// whole applies a complete change to a content.
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
