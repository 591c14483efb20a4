package log

import "sync/atomic"

// Format is a wire format's slot in an Encoding. The packages that write a format choose their slot; the log only keeps
// the bytes.
type Format uint8

// MaxFormats is the number of slots.
const MaxFormats = 6

// Encoding shares the bytes of one item in each wire format: the first reader that needs them makes them, and those
// that come soon after use them. The zero value is ready. Safe for concurrent use; where two readers encode at the same
// time, one result is kept.
//
// What is kept is counted in size, byte for byte: a slot that is filled adds to it, and one that is emptied subtracts.
// An entry that leaves its log's encoded tail is closed: late readers encode for themselves, and leave nothing behind.
type Encoding struct {
	slots [MaxFormats]atomic.Pointer[[]byte]
	size  *atomic.Int64 // of all encodings of the hub; nil: not counted
}

// closed is in the slots of an Encoding that keeps nothing any more.
var closed []byte

// Get returns the bytes in slot f, or nil.
func (e *Encoding) Get(f Format) []byte {
	if p := e.slots[f].Load(); p != nil {
		return *p
	}
	return nil
}

// Put offers bytes for slot f. They are kept where it is empty. b must not be changed afterwards.
func (e *Encoding) Put(f Format, b []byte) {
	if e.slots[f].CompareAndSwap(nil, &b) {
		e.count(len(b))
	}
}

// close frees the bytes for good: a reader that has the item already can put nothing into it any more.
func (e *Encoding) close() { e.empty(&closed) }

// clear frees the bytes for now.
func (e *Encoding) clear() { e.empty(nil) }

func (e *Encoding) empty(with *[]byte) {
	for i := range e.slots {
		if before := e.slots[i].Swap(with); before != nil {
			e.count(-len(*before))
		}
	}
}

func (e *Encoding) count(n int) {
	if e.size != nil {
		e.size.Add(int64(n))
	}
}

// spanCache shares the encoded bytes of the last few runs of text: readers that keep up all ask for the same run.
type spanCache struct {
	spans [4]span
	next  int
}

type span struct {
	from, to uint64
	enc      *Encoding
}

func (c *spanCache) get(from, to uint64, size *atomic.Int64) *Encoding {
	for i := range c.spans {
		if s := &c.spans[i]; s.enc != nil && s.from == from && s.to == to {
			return s.enc
		}
	}
	s := &c.spans[c.next]
	c.next = (c.next + 1) % len(c.spans)
	if s.enc != nil {
		s.enc.close()
	}
	*s = span{from: from, to: to, enc: &Encoding{size: size}}
	return s.enc
}
