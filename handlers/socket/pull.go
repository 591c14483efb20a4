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
	bytes  int

	// For Socket.group.
	taken int    // how many frames were returned
	cut   []byte // what is left of the payload of the frame that is sent in parts
	more  bool   // the socket has more frames
	buf   []byte // several frames, joined
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
	p.taken, p.cut, p.more = 0, nil, false
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

// group returns the bytes to write next: replies to heartbeats, and then one long frame, or several frames of at most
// about pullBytes together. So a reply to a heartbeat waits behind no more than that. They are valid until the next
// call. more means that another call may return more; if it is false, the transport is notified when there is.
func (s *Socket) group(p *pull) (b []byte, more bool) {
	if p.taken == len(p.frames) {
		p.more = s.next(p)
	}
	rest := p.frames[p.taken:]
	var pulse []frame
	if bytesOf(rest) > pullBytes { // else the order is kept
		pulse = s.takePulse()
	}
	if len(pulse) == 0 && len(rest) > 0 && !s.inParts(rest[0]) &&
		(len(rest) == 1 || len(rest[0]) >= pullBytes) {
		p.taken++
		return rest[0], p.isMore() // without a copy; other readers share it
	}
	p.buf = p.buf[:0]
	for _, f := range pulse {
		p.buf = append(p.buf, f...)
	}
	for p.taken < len(p.frames) {
		f := p.frames[p.taken]
		switch {
		case s.inParts(f):
			p.appendPart(f)
		case len(p.buf) > 0 && len(p.buf)+len(f) > pullBytes:
			return p.buf, true
		default:
			p.buf = append(p.buf, f...)
			p.taken++
		}
		if len(p.buf) >= pullBytes {
			break
		}
	}
	return p.buf, p.isMore()
}

func (p *pull) isMore() bool { return p.more || p.taken < len(p.frames) }

// inParts reports whether the client gets a frame in parts.
func (s *Socket) inParts(f frame) bool { return s.parts && len(f) > partBytes }

// appendPart appends the next part of the frame f to buf.
func (p *pull) appendPart(f frame) {
	if p.cut == nil {
		p.cut = f.payload()
	}
	if p.buf, p.cut = appendPart(p.buf, p.cut, f[0]&15); len(p.cut) == 0 {
		p.cut = nil
		p.taken++
	}
}

// bytesOf returns the size of frames.
func bytesOf(frames []frame) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// takePulse removes and returns the replies to heartbeats.
func (s *Socket) takePulse() []frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.takePulseLocked()
	s.reduceBacklogLocked(bytesOf(frames))
	return frames
}

func (s *Socket) takePulseLocked() (pulse []frame) {
	if len(s.pulse) == 0 {
		return nil
	}
	var others []frame
	for i, f := range s.urgent {
		if len(s.pulse) > 0 && s.pulse[0] == i {
			pulse, s.pulse = append(pulse, f), s.pulse[1:]
		} else {
			others = append(others, f)
		}
	}
	s.urgent, s.pulse = others, nil
	return pulse
}

// takeUrgentLocked moves the first lane to p, in order unless a reply to a heartbeat would wait for long. s.mu is held.
func (s *Socket) takeUrgentLocked(p *pull) {
	if s.urgent == nil {
		return
	}
	before := p.bytes
	if bytesOf(s.urgent) > pullBytes {
		for _, f := range s.takePulseLocked() {
			p.add(f)
		}
	}
	for _, f := range s.urgent {
		p.add(f)
	}
	s.urgent, s.pulse = nil, nil
	s.reduceBacklogLocked(p.bytes - before)
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
