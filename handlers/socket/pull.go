package socket

import (
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// pullBytes is how much next takes before it lets the first lane go first again.
const pullBytes = 64 << 10

// pull is what a transport takes from a socket in one go. It is borrowed, so that idle sockets hold none.
type pull struct {
	frames []frame
	items  []hub.Item
	buf    []byte // for the transport
	bytes  int
}

var pulls = sync.Pool{New: func() any { return new(pull) }}

func borrowPull() *pull { return pulls.Get().(*pull) }

func (p *pull) giveBack() {
	p.reset()
	if cap(p.buf) > 4*pullBytes {
		p.buf = nil
	}
	pulls.Put(p)
}

func (p *pull) reset() {
	clear(p.frames)
	clear(p.items)
	p.frames, p.items, p.bytes = p.frames[:0], p.items[:0], 0
}

func (p *pull) add(f frame) {
	p.frames = append(p.frames, f)
	p.bytes += len(f)
}

// next fills p with what is to be sent now: the whole first lane, then portions of the second until there is enough, and before each portion
// what has come into the first lane meanwhile: a join's reply may be there, which its data must not overtake. Nothing added means that there
// is nothing; the transport is notified when that changes. One goroutine at a time may call it.
func (s *Socket) next(p *pull) {
	p.reset()
	for {
		f := s.take(p)
		if f == nil {
			return
		}
		f.read(p)
	}
}

// take adds the first lane to p, and returns the next feed that has something, or nil.
func (s *Socket) take(p *pull) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := p.bytes
	for _, f := range s.urgent {
		p.add(f)
	}
	s.urgent = nil
	s.easeLocked(p.bytes - size)
	if len(s.dirty) == 0 || p.bytes >= pullBytes {
		return nil
	}
	f := s.dirty[0]
	last := copy(s.dirty, s.dirty[1:])
	s.dirty[last] = nil
	s.dirty = s.dirty[:last]
	return f
}

// read adds what the feed has.
func (f *feed) read(p *pull) {
	f.pending.Store(false) // before the reading: what comes during it signals again
	c := f.channel
	if c.ended.Load() {
		return
	}
	switch f.source.next(c, p) {
	case goesOn:
	case feedEnds:
		f.drop()
	case channelEnds:
		c.end(endSaid)
	}
}
