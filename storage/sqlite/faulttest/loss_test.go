//go:build linux

package faulttest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const sector = 512

// A way says how much unsynced data survives a power loss.
type way int

const (
	wayNothing way = iota // nothing
	wayAll                // all: as if only the process had died
	wayPrefix             // a prefix of the writes, the last one torn
	wayWhole              // any writes, each whole
	wayTorn               // any writes, some torn
	waySectors            // any sectors
	ways
)

func (w way) String() string {
	return [...]string{"nothing unsynced", "all", "a prefix", "any writes", "any writes, torn", "any sectors"}[w]
}

// image is a folder after a power loss.
type image struct {
	files map[string][]byte
	way   way // of the first file
}

// lose draws a random image.
func (d *disk) lose(rng *rand.Rand) image {
	w := way(rng.IntN(int(ways)))
	img := image{files: map[string][]byte{}, way: w}
	names := d.loseNames(rng, w)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		of := w
		if rng.IntN(3) == 0 {
			of = way(rng.IntN(int(ways)))
		}
		img.files[name] = names[name].lose(rng, of)
	}
	return img
}

// loseNames draws which unsynced changes of names survive.
func (d *disk) loseNames(rng *rand.Rand, w way) map[string]*inode {
	names := maps.Clone(d.names)
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

// lose draws a random content.
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
		case rng.IntN(10) >= keep: // missing, though the size may be there
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

// torn applies some sectors of a change: keep of ten, or the first few if keep is negative. Bytes of a sector that the
// write did not change stay.
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

// write writes the image into an empty folder. The shared memory may have any content: SQLite must rebuild it.
func (img image) write(dir string, rng *rand.Rand) error {
	for _, name := range slices.Sorted(maps.Keys(img.files)) {
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

// image returns the folder as programs see it.
func (d *disk) image() image {
	img := image{files: map[string][]byte{}, way: wayAll}
	for name, n := range d.seen {
		b := slices.Clone(n.base)
		for _, c := range n.changes {
			b = c.whole(b)
		}
		img.files[name] = b
	}
	return img
}

// differs compares the image with a folder, except for what is not modelled. Trailing zeros are the only trace of a
// write that a failed sync undid.
func (img image) differs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := 0
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".lock" || filepath.Ext(e.Name()) == ".db-shm" {
			continue
		}
		found++
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		model, ok := img.files[e.Name()]
		if !ok || !bytes.Equal(bytes.TrimRight(b, "\x00"), bytes.TrimRight(model, "\x00")) {
			return fmt.Errorf("%s: %d bytes in the folder, %d in the model, and not the same",
				e.Name(), len(b), len(model))
		}
	}
	if found != len(img.files) {
		return fmt.Errorf("%d files in the folder, %d in the model", found, len(img.files))
	}
	return nil
}
