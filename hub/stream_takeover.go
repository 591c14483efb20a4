package hub

import (
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// orphaned reports whether nobody writes a stream whose owner, according to its mirror, is node: that node has died, or
// it is this one, which has claimed the stream and has not received the answer.
func (c *Cluster) orphaned(node string) bool {
	return node == c.streams.Node() || !c.streams.Alive(node)
}

// demote makes the stream a mirror: another node has taken it over while this one could not reach the store.
func (s *Stream) demote() {
	s.log.Lock()
	if s.remote != nil {
		s.log.Unlock()
		return
	}
	s.mirrorLocked("").synced = make(chan struct{})
	running := !s.status.Ended()
	stop := s.stop
	s.producer.stopLease()
	if s.idleTimer != nil {
		s.idleTimer.Stop()
		s.idleTimer = nil
	}
	s.log.Unlock()
	if stop != nil {
		stop(errTakenOver)
	}
	if running {
		s.hub.streams.ended(s)
	}
	s.follow()
}

// takeOver makes this node the owner of a stream whose owner, dead, has died. The stream is interrupted, with the text
// that was saved. It reports whether this node owns it now: another node may have been faster, and is not asked to give
// it up. Errors: ErrNotFound if the stream no longer exists; after any other the caller tries again, because the claim
// may have succeeded although its answer was lost.
func (s *Stream) takeOver(dead string) (bool, error) {
	c := s.hub.cluster
	s.log.Lock()
	r := s.remote
	s.log.Unlock()
	if r == nil {
		return true, nil
	}
	found, err := c.streams.ClaimStream(s.ID, dead)
	unknown := err != nil && !errors.Is(err, errs.ErrNotFound)
	s.log.Lock()
	r.asked = unknown
	s.log.Unlock()
	if unknown {
		return false, err
	}
	if err != nil {
		s.endLost(r)
		return false, errs.ErrNotFound
	}
	if found.Node != c.streams.Node() {
		s.reloadMirror()
		return false, nil
	}
	s.unfollow()
	s.log.Lock()
	if s.remote != r { // another goroutine has taken it over, or it was lost
		defer s.log.Unlock()
		return s.remote == nil, nil
	}
	s.applyLocked(found, true)
	r.markSyncedLocked()
	s.remote = nil
	s.producer.restore(&found.Record.Producer)
	ended := s.status.Ended()
	s.saved = s.log.Tail()
	s.beginOwnEpochLocked()
	if !ended {
		s.hub.streams.resumed(s)
	}
	s.log.UnlockAndWake() // the claim may have brought text and an end
	if !ended {
		why := &EndError{Code: "node_lost", Message: "the node that wrote the stream has died"}
		s.endLocal(StatusInterrupted, Ending{by: "node", Error: why})
	}
	return true, nil
}

// beginOwnEpochLocked begins an epoch for a stream that can continue. The previous owner, or this node before its
// restart, may have sent its readers text that was not saved. s.log is locked.
func (s *Stream) beginOwnEpochLocked() {
	if !s.status.Ended() || s.status == StatusInterrupted {
		s.log.NewEpoch(s.hub.epochs.Next())
		s.hub.recorder.markChanged(s, false)
	}
}

// takeOverByID takes over a stream of a dead node, unless it has ended or another node has taken it over.
func (c *Cluster) takeOverByID(node, id string) error {
	s := c.hub.streams.find("", id)
	if s == nil {
		found, err := c.streams.FindStream("", id)
		switch {
		case errors.Is(err, errs.ErrNotFound):
			return nil
		case err != nil:
			return err
		case found.Record.Status.Ended():
			return nil
		}
		s = c.addMirror(found)
	}
	owner := s.remoteNode()
	if s.Status().Ended() || owner != node && owner != c.streams.Node() {
		return nil
	}
	taken, err := s.takeOver(owner)
	if err == nil && !taken && owner != node { // the claim that made this node the owner is lost with the store's last writes
		_, err = s.takeOver(node)
	}
	if !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	return nil
}

// claimedLocked reports whether this node may own the stream although it has a mirror of it: it has claimed the stream,
// and the answer was lost. The mirror must not be dropped until that is known, because no other node would end the
// stream. s.log is locked.
func (s *Stream) claimedLocked() bool {
	return s.remote != nil && (s.remote.asked || s.remote.node == s.hub.Node())
}

// settleClaims finds out which of the streams that it has claimed without an answer this node owns.
func (c *Cluster) settleClaims() {
	if !c.sharesStreams() {
		return
	}
	for _, s := range c.hub.streams.all() {
		s.log.Lock()
		claimed := s.claimedLocked()
		s.log.Unlock()
		if !claimed {
			continue
		}
		if _, err := s.takeOver(c.streams.Node()); err != nil && !errors.Is(err, errs.ErrNotFound) {
			return // the store cannot be reached: try again at the next cleanup
		}
	}
}

// takeOverIfOrphaned takes over the stream if its owner has died.
func (s *Stream) takeOverIfOrphaned() {
	s.log.Lock()
	r, ended := s.remote, s.status.Ended()
	if r != nil {
		r.used = time.Now()
	}
	s.log.Unlock()
	if node := s.remoteNode(); node != "" && !ended && s.hub.cluster.orphaned(node) {
		if _, err := s.takeOver(node); err != nil && !errors.Is(err, errs.ErrNotFound) {
			s.hub.logger.Warn("a dead node's stream is not taken over", "stream", s.ID, "node", node, "error", err)
		}
	}
}
