package log

import "sync/atomic"

// Format is a wire format's slot in an Encoding. The packages that encode a format choose its slot; the log only caches
// the bytes.
type Format uint8

// MaxFormats is the number of slots.
const MaxFormats = 6

// Encoding caches the bytes of one item in each wire format, so that only the first reader has to encode it. The zero
// value is ready for use. It is safe for concurrent use; if two readers encode at the same time, one result is cached.
//
// The cached bytes are counted in size: a slot that is filled adds to it, and one that is emptied subtracts from it.
// When an entry leaves its log's encoded tail, its Encoding is closed: readers that lag encode for themselves, and
// cache nothing.
type Encoding struct {
	slots [MaxFormats]atomic.Pointer[[]byte]
	size  *atomic.Int64 // of all encodings of the hub; nil: not counted
}

// closed is in the slots of an Encoding that was closed.
var closed []byte

// Get returns the bytes in slot f, or nil.
func (e *Encoding) Get(f Format) []byte {
	if p := e.slots[f].Load(); p != nil {
		return *p
	}
	return nil
}

// Put stores bytes in slot f if it is empty. b must not be changed afterwards.
func (e *Encoding) Put(f Format, b []byte) {
	if e.slots[f].CompareAndSwap(nil, &b) {
		e.count(len(b))
	}
}

// close frees the bytes. Put then does nothing, also for a reader that already has the item.
func (e *Encoding) close() { e.empty(&closed) }

// clear frees the bytes. Put can store new ones.
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

// spanCache has the encodings of the last few runs of text, since readers that keep up all read the same runs.
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
