package log

import "sync/atomic"

// Format is a wire format's slot in an Encoding. The packages that write a format choose their slot; the log only keeps the bytes.
type Format uint8

// MaxFormats is the number of slots.
const MaxFormats = 6

// Encoding holds the bytes of one item in each wire format. Whichever reader comes first makes them, and all others share them. The zero
// value is ready. Safe for concurrent use; two readers that come at the same time may both encode, and one result is kept.
type Encoding struct {
	slots [MaxFormats]atomic.Pointer[[]byte]
}

// Get returns the bytes in slot f, or nil.
func (e *Encoding) Get(f Format) []byte {
	if p := e.slots[f].Load(); p != nil {
		return *p
	}
	return nil
}

// Put fills slot f. b must not be changed afterwards.
func (e *Encoding) Put(f Format, b []byte) { e.slots[f].Store(&b) }

// drop frees the bytes: the entry is so far behind the tail that its readers are late ones, who can afford to encode.
func (e *Encoding) drop() {
	for i := range e.slots {
		if e.slots[i].Load() != nil {
			e.slots[i].Store(nil)
		}
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

func (c *spanCache) get(from, to uint64) *Encoding {
	for i := range c.spans {
		if s := &c.spans[i]; s.enc != nil && s.from == from && s.to == to {
			return s.enc
		}
	}
	s := &c.spans[c.next]
	c.next = (c.next + 1) % len(c.spans)
	*s = span{from: from, to: to, enc: new(Encoding)}
	return s.enc
}
