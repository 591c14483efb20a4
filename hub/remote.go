package hub

import (
	"errors"
	"time"
)

// remote is what makes a stream of this hub a mirror of another node's. Guarded by the stream's log.mu, but for the following's own state.
type remote struct {
	node    string        // whose the stream is; "" where this node has lost it, and does not know to whom
	known   chan struct{} // closed when this node has what that one has; nil where it has
	stop    func()        // ends the following; nil while it begins
	used    time.Time     // when somebody last asked for it
	over    bool
	loading bool // a goroutine asks the store
	stale   bool // it must be asked again
}

// isRemote reports whether another node writes the stream.
func (s *Stream) isRemote() bool {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.remote != nil
}

// remoteNode returns the node that writes the stream, or "" for this one, and where it is not known.
func (s *Stream) remoteNode() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.remote == nil {
		return ""
	}
	return s.remote.node
}

// lostPatience is for how long whoever needs a stream that this node has lost waits until the other node's is here.
const lostPatience = 5 * time.Second

// settled waits, for a stream that this node has just lost, until the other node's is here: what this one had is not true any more. Errors match
// ErrUnavailable.
func (s *Stream) settled() error {
	s.log.mu.Lock()
	var known chan struct{}
	if s.remote != nil {
		known = s.remote.known
	}
	s.log.mu.Unlock()
	if known == nil {
		return nil
	}
	late := time.NewTimer(lostPatience)
	defer late.Stop()
	select {
	case <-known:
		return nil
	case <-late.C:
	case <-s.hub.ctx.Done():
	}
	return errAway
}

// writer returns the node that writes the stream, or "" for this one. Errors match ErrUnavailable.
func (s *Stream) writer() (string, error) {
	if err := s.settled(); err != nil {
		return "", err
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	switch {
	case s.remote == nil:
		return "", nil
	case s.remote.node == "":
		return "", errAway // no node has it any more
	}
	return s.remote.node, nil
}

// knownLocked ends the waiting for what has become of a stream. The stream's log.mu is held.
func (r *remote) knownLocked() {
	if r.known != nil {
		close(r.known)
		r.known = nil
	}
}

// findShared returns a stream that this node does not know yet as a mirror.
func (h *Hub) findShared(user, id string) (*Stream, error) {
	found, err := h.shared.FindStream(user, id)
	if err != nil {
		return nil, err
	}
	if found.Node == h.shared.Node() {
		return nil, ErrNotFound // it is being made, or being dropped
	}
	s := h.mirrorOf(found)
	if had := h.streams.addMirror(s); had != nil {
		return had, nil
	}
	h.logBytes.Add(s.log.bytes + streamCost)
	s.follow()
	return s, nil
}

// mirrorOf makes a stream of a record.
func (h *Hub) mirrorOf(found *SharedStream) *Stream {
	s := h.streamOf(&found.Record)
	s.remote = &remote{node: found.Node, used: time.Now()}
	if s.status != StatusQueued {
		close(s.startedC)
	}
	if s.status.Ended() {
		close(s.doneC)
	}
	for i := range found.Record.Runs {
		s.log.addRun(&found.Record.Runs[i])
	}
	return s
}

// follow begins to hear of a mirror's stream.
func (s *Stream) follow() {
	stop := s.hub.shared.FollowStream(s.ID, s.hear, s.refresh)
	s.log.mu.Lock()
	r := s.remote
	over := r == nil || r.over
	if !over {
		r.stop = stop
	}
	s.log.mu.Unlock()
	if over {
		stop()
	}
}

// unfollow ends a mirror. No lock may be held: the store may be telling the stream something at the moment.
func (s *Stream) unfollow() {
	s.log.mu.Lock()
	var stop func()
	if s.remote != nil {
		s.remote.over = true
		stop, s.remote.stop = s.remote.stop, nil
	}
	s.log.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// hear takes a change of the stream.
func (s *Stream) hear(c *SharedStream) {
	s.log.mu.Lock()
	r := s.remote
	joined := r == nil || s.takeLocked(c, false)
	s.log.unlockAndWake()
	if !joined {
		s.refresh()
	}
}

// refresh has the store asked for the whole stream.
func (s *Stream) refresh() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	r := s.remote
	if r == nil || r.over {
		return
	}
	r.stale = true
	if !r.loading {
		r.loading = s.hub.goes(func() { s.reload(r) })
	}
}

// reload asks the store until nothing is missing.
func (s *Stream) reload(r *remote) {
	for failures := 0; ; {
		s.log.mu.Lock()
		if r.over || s.remote != r || !r.stale {
			r.loading = false
			s.log.mu.Unlock()
			return
		}
		r.stale = false
		s.log.mu.Unlock()
		found, err := s.hub.shared.FindStream(s.Owner, s.ID)
		alive := !errors.Is(err, ErrNotFound) || s.hub.shared.Alive(s.remoteNode())
		s.log.mu.Lock()
		switch {
		case s.remote != r:
		case err == nil:
			failures = 0
			if r.node == "" {
				r.node = found.Node // which is about to interrupt it
			}
			s.takeLocked(found, true)
		case errors.Is(err, ErrNotFound): // deleted, or lost: then its node brings it again
			if !alive {
				s.endMirrorLocked()
			}
		default:
			failures++
			r.stale = true
		}
		s.log.unlockAndWake()
		if failures > 0 && !s.hub.PauseAfter(failures) {
			s.log.mu.Lock()
			r.loading = false
			s.log.mu.Unlock()
			return
		}
	}
}

// endMirrorLocked ends a mirror whose node has died, and whose stream is nowhere any more. s.log.mu is held.
func (s *Stream) endMirrorLocked() {
	s.remote.knownLocked()
	if s.status.Ended() {
		return
	}
	e := Ending{Status: StatusInterrupted, Error: &EndError{Code: "stream_lost", Message: "what the nodes share has lost the stream"}}
	s.log.renew(s.hub.epochs.take()) // the end has a place that nobody else has given
	s.showLocked(StatusInterrupted, e, time.Now())
	s.log.appendEvent(&Event{Kind: EndEvent, Name: EndName, Data: e.appendJSON(nil), Time: time.Now()})
}

// takeLocked takes what the stream's node tells of it, or the whole stream. It reports false where entries between are missing. s.log.mu is held.
func (s *Stream) takeLocked(c *SharedStream, whole bool) bool {
	rec := &c.Record
	before := s.log.bytes
	defer func() { s.hub.logBytes.Add(s.log.bytes - before) }()
	if rec.Epoch != s.log.epoch {
		if !whole {
			return false
		}
		s.log.begin(rec.Epoch, rec.Before, 0)
		s.log.text, s.log.deliveredTokens, s.log.spans = nil, 0, spanCache{}
	}
	for i := range rec.Runs {
		run := rec.Runs[i]
		switch tail := s.log.tail(); {
		case run.Last() <= tail:
			continue
		case run.First > tail+1:
			return false
		default:
			run.Cut(tail+1, run.Last())
			s.log.addRun(&run)
		}
	}
	if rec.Tail > s.log.tail() {
		return false
	}
	if rec.Tail == s.log.tail() && (rec.Status != StatusQueued || s.status == StatusQueued) { // else it is an older one
		s.remote.node = c.Node
		s.remote.knownLocked()
		s.info, s.started, s.first = rec.Info, rec.Timings.Started, rec.Timings.FirstToken
		s.account = account{made: rec.Account.Made, unwatched: rec.Account.Unwatched, endedBy: rec.Account.EndedBy}
		s.log.before = rec.Before
		s.showLocked(rec.Status, rec.Ending, rec.Timings.Ended)
	}
	return true
}

// showLocked moves a mirror to a status. s.log.mu is held.
func (s *Stream) showLocked(status Status, e Ending, ended time.Time) {
	if s.status == StatusQueued && status != StatusQueued {
		close(s.startedC)
	}
	switch {
	case status.Ended() && !s.status.Ended():
		close(s.doneC)
	case !status.Ended() && s.status.Ended():
		s.doneC = make(chan struct{})
	}
	s.status, s.ending, s.ended = status, e, ended
}

// lose makes a mirror of a stream that was this node's: another has taken it, while this one could not be reached.
func (s *Stream) lose() {
	s.log.mu.Lock()
	if s.remote != nil {
		s.log.mu.Unlock()
		return
	}
	s.remote = &remote{known: make(chan struct{}), used: time.Now()}
	running := !s.status.Ended()
	stop := s.stop
	s.producer.stopLease()
	if s.idleStop != nil {
		s.idleStop.Stop()
		s.idleStop = nil
	}
	s.log.mu.Unlock()
	if stop != nil {
		stop(errNodeGone)
	}
	if running {
		s.hub.streams.ended(s)
	}
	s.follow()
}

// takeOver makes a stream this node's, whose own node has died: it is interrupted, with what was kept of it. It reports whether this node has it now.
func (h *Hub) takeOver(s *Stream) (bool, error) {
	s.log.mu.Lock()
	r := s.remote
	s.log.mu.Unlock()
	node := s.remoteNode()
	if node == "" {
		return !s.isRemote(), nil
	}
	found, err := h.shared.ClaimStream(s.ID, node)
	if errors.Is(err, ErrNotFound) || err == nil && found.Node != h.shared.Node() {
		s.refresh()
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.unfollow()
	s.log.mu.Lock()
	if s.remote != r { // it was taken over, or lost, meanwhile
		defer s.log.mu.Unlock()
		return s.remote == nil, nil
	}
	s.takeLocked(found, true)
	s.remote.knownLocked()
	s.remote = nil
	s.producer.restore(&found.Record.Producer)
	ended := s.status.Ended()
	s.saved = s.log.tail()
	if !ended {
		s.log.renew(h.epochs.take())
		h.streams.resumed(s)
	}
	s.log.mu.Unlock()
	if !ended {
		s.finish(StatusInterrupted, Ending{by: "node", Error: &EndError{Code: "node_lost", Message: "the node that wrote the stream has died"}})
	}
	return true, nil
}

// died is told by the store of a node that has died with streams of its own.
func (h *Hub) died(node string, streams []string) {
	h.buryPresences(node)
	for _, id := range streams {
		s := h.streams.find("", id)
		if s == nil {
			var err error
			if s, err = h.findShared("", id); err != nil {
				continue // ended, deleted, or Redis is away: whoever looks for it finds it later
			}
		}
		if s.remoteNode() == node && !s.Status().Ended() {
			if _, err := h.takeOver(s); err != nil {
				h.logger.Warn("a dead node's stream is not taken over", "stream", id, "node", node, "error", err)
			}
		}
	}
}

// lost is told by the store when what the nodes share is gone: all that this node has is brought again.
func (h *Hub) lost() {
	for _, s := range h.streams.all() {
		if !s.isRemote() {
			h.changedStream(s, false)
		}
	}
	h.shareAllPresences()
}

// settleRemote takes over a mirror's stream if its node has died.
func (h *Hub) settleRemote(s *Stream) {
	s.log.mu.Lock()
	r, ended := s.remote, s.status.Ended()
	if r != nil {
		r.used = time.Now()
	}
	s.log.mu.Unlock()
	if node := s.remoteNode(); node != "" && !ended && !h.shared.Alive(node) {
		if _, err := h.takeOver(s); err != nil {
			h.logger.Warn("a dead node's stream is not taken over", "stream", s.ID, "node", node, "error", err)
		}
	}
}
