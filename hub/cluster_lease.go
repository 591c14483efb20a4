package hub

import (
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
)

// A node owns its streams for as long as its lease holds. Once that cannot be shown, another may have taken them, and
// what is appended here is lost when this node hears of it. So nothing is acknowledged to external producers then.
// Completions of our own providers go on in memory: nobody relies on an acknowledgement.

var (
	errNoLease = fmt.Errorf("this node cannot show the others that it lives, so they may take over its streams; send it again: %w", errs.ErrUnavailable)
	errMoved   = fmt.Errorf("%w; send it again: %w", errNodeGone, errs.ErrUnavailable)
)

// leaseFault returns why this node must not acknowledge what external producers send, or nil. It matches
// ErrUnavailable.
func (c *Cluster) leaseFault() error {
	if c.sharesStreams() && !c.streams.LeaseValid() {
		return errNoLease
	}
	return nil
}

// confirmOwned returns nil where the stream is certainly this node's: its lease holds, and did so ever since the store
// was last asked whose the stream is. Where another node has the stream, it is a mirror when this returns. Errors match
// ErrUnavailable.
func (s *Stream) confirmOwned() error {
	c := s.hub.cluster
	if err := c.leaseFault(); err != nil || !c.sharesStreams() {
		return err
	}
	lapses := c.lapses.Load()
	if s.confirmed.Load() == lapses {
		return nil
	}
	s.hub.changedStream(s, false)
	if err := s.hub.recorder.flush(s); err != nil {
		return errNoLease
	}
	s.confirmed.Store(lapses)
	return c.leaseFault()
}

// Degraded says what works less than it should among several nodes, in words for people.
func (h *Hub) Degraded() []string {
	if h.cluster.leaseFault() == nil {
		return nil
	}
	return []string{"this node's lease cannot be shown to hold: what producers send to its streams is refused, and what other nodes revoke is not heard"}
}
