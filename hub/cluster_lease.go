package hub

import (
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
)

// A node owns its streams while its lease is valid. When it cannot prove that, another node may have taken over its
// streams, and then what is appended here is lost. So external producers get no acknowledgement in that time.
// Completions of the hub's own providers go on in memory, since nobody relies on an acknowledgement of them.

var (
	errNoLease = fmt.Errorf("this node cannot show the others that it lives, so they may take over its streams; "+
		"send it again: %w", errs.ErrUnavailable)
	errMoved = fmt.Errorf("%w; send it again: %w", errTakenOver, errs.ErrUnavailable)
)

// checkLease returns nil if this node may acknowledge what external producers send: the lease is valid, or there are no
// other nodes. Otherwise it returns why not; the error matches ErrUnavailable.
func (c *Cluster) checkLease() error {
	if c.sharesStreams() && !c.streams.LeaseValid() {
		return errNoLease
	}
	return nil
}

// confirmOwned returns nil if this node certainly owns the stream: its lease is valid, and has been since the store was
// last asked for the stream's owner. If another node owns the stream, the stream is a mirror when confirmOwned returns.
// Errors match ErrUnavailable.
func (s *Stream) confirmOwned() error {
	c := s.hub.cluster
	if err := c.checkLease(); err != nil || !c.sharesStreams() {
		return err
	}
	lapses := c.lapses.Load()
	if s.confirmed.Load() == lapses {
		return nil
	}
	s.hub.recorder.markChanged(s, false)
	if err := s.hub.recorder.flush(s); err != nil {
		return errNoLease
	}
	s.confirmed.Store(lapses)
	return c.checkLease()
}

// Degraded describes, for people, which functions of the cluster do not work at the moment.
func (h *Hub) Degraded() []string {
	if h.cluster.checkLease() == nil {
		return nil
	}
	return []string{"this node's lease cannot be shown to hold: what producers send to its streams is refused, " +
		"and what other nodes revoke is not heard"}
}
