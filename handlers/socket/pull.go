package socket

import (
	"sync"

	"github.com/duckwire/duckwire/hub/log"
)

// pullBytes is the size at which next returns, so that the first lane is written first again.
const pullBytes = 64 << 10

// pull holds the frames that a transport takes from a socket in one call. It comes from a pool, so that idle sockets
// need none.
type pull struct {
	frames []frame
	items  []log.Item
	buf    []byte // scratch space for join
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

// join returns all frames as one slice. A single frame is returned without a copy; other readers share it.
func (p *pull) join() []byte {
	switch len(p.frames) {
	case 0:
		return nil
	case 1:
		return p.frames[0]
	}
	p.buf = p.buf[:0]
	for _, f := range p.frames {
		p.buf = append(p.buf, f...)
	}
	return p.buf
}

func (p *pull) add(f frame) {
	p.frames = append(p.frames, f)
	p.bytes += len(f)
}

// next fills p with the frames to send now: the whole first lane, then portions of the second lane until p is large
// enough. Before each portion it takes the first lane again, because a join's reply there must not be overtaken by the
// join's data. more means that more frames are available; if it is false, the transport is notified when there are. One
// goroutine at a time may call it.
func (s *Socket) next(p *pull) (more bool) {
	p.reset()
	for {
		s.mu.Lock()
		s.takeUrgentLocked(p)
		if p.bytes >= pullBytes {
			more = len(s.dirty) > 0
			s.mu.Unlock()
			return more
		}
		f := s.takeDirtyLocked()
		s.mu.Unlock()
		if f == nil {
			return false
		}
		f.read(p)
	}
}

// takeUrgentLocked moves the first lane to p. s.mu is held.
func (s *Socket) takeUrgentLocked(p *pull) {
	if s.urgent == nil {
		return
	}
	size := p.bytes
	for _, f := range s.urgent {
		p.add(f)
	}
	s.urgent = nil
	s.reduceBacklogLocked(p.bytes - size)
}

// takeDirtyLocked removes and returns the next feed that has data, or nil. s.mu is held.
func (s *Socket) takeDirtyLocked() *feed {
	if len(s.dirty) == 0 {
		return nil
	}
	f := s.dirty[0]
	last := copy(s.dirty, s.dirty[1:])
	s.dirty[last] = nil
	s.dirty = s.dirty[:last]
	return f
}

// read adds the feed's frames to p. A source may call code of the channel's Kind (Rewriter, Channel.Follow).
func (f *feed) read(p *pull) {
	f.pending.Store(false) // before the read: data that arrives during it signals again
	c := f.channel
	if c.ended.Load() {
		return
	}
	defer c.recoverPanic()
	switch f.source.next(c, p) {
	case feedContinues:
	case feedEnded:
		f.remove()
	case channelEnded:
		c.endAfterMessage()
	}
}
