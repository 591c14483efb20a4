package hub

import (
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// remote is what makes a stream of this hub a mirror of another node's. Guarded by the stream's log.
type remote struct {
	node   string                        // whose the stream is; "" where this node has lost it, and does not know to whom
	synced chan struct{}                 // closed when this node has what that one has; nil where it has
	used   time.Time                     // when somebody last asked for it
	asked  bool                          // this node has asked to own the stream, and has not had the answer
	mirror *mirror.Mirror[*SharedStream] // nil: nothing of the stream is kept for other nodes
}

// isRemote reports whether another node writes the stream.
func (s *Stream) isRemote() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.remote != nil
}

// remoteNode returns the node that writes the stream, or "" for this one, and where it is not known.
func (s *Stream) remoteNode() string {
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote == nil {
		return ""
	}
	return s.remote.node
}

// syncTimeout is for how long whoever needs a stream that this node has lost waits until the other node's is here.
const syncTimeout = 5 * time.Second

// awaitSync waits, for a stream that this node has just lost, until the other node's is here: what this one had is not
// true any more. Errors match ErrUnavailable.
func (s *Stream) awaitSync() error {
	s.log.Lock()
	var known chan struct{}
	if s.remote != nil {
		known = s.remote.synced
	}
	s.log.Unlock()
	if known == nil {
		return nil
	}
	late := time.NewTimer(syncTimeout)
	defer late.Stop()
	select {
	case <-known:
		return nil
	case <-late.C:
	case <-s.hub.ctx.Done():
	}
	return errOwnerUnreachable
}

// ownerNode returns the node that writes the stream, or "" for this one. Errors match ErrUnavailable.
func (s *Stream) ownerNode() (string, error) {
	if err := s.awaitSync(); err != nil {
		return "", err
	}
	s.log.Lock()
	defer s.log.Unlock()
	switch {
	case s.remote == nil:
		return "", nil
	case s.remote.node == "":
		return "", errOwnerUnreachable // no node has it any more
	}
	return s.remote.node, nil
}

// markSyncedLocked ends the waiting for what has become of a stream. The stream's log is locked.
func (r *remote) markSyncedLocked() {
	if r.synced != nil {
		close(r.synced)
		r.synced = nil
	}
}

// mirrorFromStore returns a stream that this node does not know yet as a mirror.
func (h *Hub) mirrorFromStore(user, id string) (*Stream, error) {
	found, err := h.cluster.streams.FindStream(user, id)
	if err != nil {
		return nil, err
	}
	if found.Node == h.cluster.streams.Node() {
		return nil, errs.ErrNotFound // it is being made, or being dropped
	}
	return h.addMirror(found), nil
}

// addMirror has this hub mirror a stream, and returns the mirror, or what it has under the same id already.
func (h *Hub) addMirror(found *SharedStream) *Stream {
	s := h.mirrorOf(found)
	if had := h.streams.addMirror(s); had != nil {
		return had
	}
	h.logBytes.Add(s.log.Size() + streamCost)
	s.follow()
	return s
}

// orphaned reports whether nobody writes the stream of a mirror whose node this is: the node has died, or it is this
// one, which has claimed the stream and was not told so.
func (h *Hub) orphaned(node string) bool {
	return node == h.cluster.streams.Node() || !h.cluster.streams.Alive(node)
}

// mirrorOf makes a stream of a record.
func (h *Hub) mirrorOf(found *SharedStream) *Stream {
	s := h.streamOf(&found.Record)
	s.mirrorLocked(found.Node)
	if s.status != StatusQueued {
		close(s.startedC)
	}
	if s.status.Ended() {
		close(s.doneC)
	}
	for i := range found.Record.Runs {
		s.log.AppendRun(&found.Record.Runs[i])
	}
	return s
}

// mirrorLocked makes the stream a mirror of a node's. s.log is locked, or s is new.
func (s *Stream) mirrorLocked(node string) *remote {
	r := &remote{node: node, used: time.Now()}
	r.mirror = mirror.New(streamReplica{s, r}, &s.hub.background)
	s.remote = r
	return r
}

// currentMirror returns the stream's mirror, or nil where this node writes the stream, or nothing of it is shared.
func (s *Stream) currentMirror() *mirror.Mirror[*SharedStream] {
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote == nil {
		return nil
	}
	return s.remote.mirror
}

// follow begins to hear of a mirror's stream.
func (s *Stream) follow() {
	if m := s.currentMirror(); m != nil {
		m.Start()
	}
}

// unfollow ends a mirror. The stream must not be locked.
func (s *Stream) unfollow() {
	if m := s.currentMirror(); m != nil {
		m.Close()
	}
}

// reloadMirror has the store asked for the whole stream.
func (s *Stream) reloadMirror() {
	if m := s.currentMirror(); m != nil {
		m.Gap()
	}
}

// streamReplica is a stream of another node's as its mirror sees it.
type streamReplica struct {
	*Stream
	remote *remote
}

// Follow implements mirror.Replica.
func (r streamReplica) Follow(heard func(*SharedStream), gap func()) (stop func()) {
	return r.hub.cluster.streams.FollowStream(r.ID, heard, gap)
}

// Take implements mirror.Replica. When the stream is this node's by now, nothing is missing.
func (r streamReplica) Take(c *SharedStream, _ bool) bool {
	r.log.Lock()
	defer r.log.UnlockAndWake()
	return r.Stream.remote != r.remote || r.applyLocked(c, false)
}

// Load implements mirror.Replica.
func (r streamReplica) Load() error {
	found, err := r.hub.cluster.streams.FindStream(r.Owner, r.ID)
	if errors.Is(err, errs.ErrNotFound) {
		return r.loadMissing()
	}
	if err != nil {
		return err
	}
	r.log.Lock()
	defer r.log.UnlockAndWake()
	if r.Stream.remote != r.remote {
		return nil
	}
	if r.remote.node == "" {
		r.remote.node = found.Node // which is about to interrupt it
	}
	r.applyLocked(found, true)
	return nil
}

// loadMissing finds out what it means that the store does not have the stream. If it has ended, it was deleted since.
// If its owner lives and writes it, the store has lost it, and its owner saves it again. If its owner lives and does not
// know it, and nothing of it was ever seen, its registration failed there. Else the stream is lost, and its mirror ends.
func (r streamReplica) loadMissing() error {
	node := r.remoteNode()
	if r.Status().Ended() || node == "" {
		return nil
	}
	asked := !r.hub.orphaned(node)
	if asked {
		_, err := r.hub.cluster.callWithin(callTimeout, node, callSaveStream, withBytes(streamQuestion{r.ID}, nil))
		if !errors.Is(err, errNotOwner) {
			return err
		}
	}
	r.log.Lock()
	if asked && r.Stream.remote == r.remote && r.log.Tail() == 0 { // whoever made it was told so
		r.endMirrorLocallyLocked(StatusFailed, endWithdrawn)
	}
	r.log.UnlockAndWake()
	r.endLost(r.remote)
	return nil
}

// endLost ends a mirror whose stream is nowhere any more, and forgets it: its id is free again.
func (s *Stream) endLost(r *remote) {
	s.log.Lock()
	lost := s.remote == r
	if lost {
		s.endMirrorLocked()
	}
	s.log.UnlockAndWake()
	if lost {
		s.hub.dropStream(s)
	}
}

// endMirrorLocked ends a mirror whose node has died, and whose stream is nowhere any more. s.log is locked.
func (s *Stream) endMirrorLocked() {
	s.remote.markSyncedLocked()
	if s.status.Ended() {
		return
	}
	e := Ending{Status: StatusInterrupted, Error: &EndError{Code: "stream_lost", Message: "what the nodes share has lost the stream"}}
	s.log.NewEpoch(s.hub.epochs.Next()) // the end has a place that nobody else has given
	s.endMirrorLocallyLocked(StatusInterrupted, e)
}

// endMirrorLocallyLocked ends a mirror here, with an end of its own. s.log is locked.
func (s *Stream) endMirrorLocallyLocked(status Status, e Ending) {
	e.Status = status
	now, before := time.Now(), s.log.Size()
	s.setMirrorStatusLocked(status, e, now)
	s.log.Append(&log.Event{Kind: log.EndEvent, Name: EndName, Data: e.appendJSON(nil), Time: now})
	s.hub.logBytes.Add(s.log.Size() - before)
}

// applyLocked takes what the stream's node tells of it, or the whole stream. It reports false where entries between are
// missing. s.log is locked.
func (s *Stream) applyLocked(c *SharedStream, whole bool) bool {
	rec := &c.Record
	before := s.log.Size()
	defer func() { s.hub.logBytes.Add(s.log.Size() - before) }()
	if rec.Epoch != s.log.Epoch() {
		if !whole {
			return false
		}
		s.log.Begin(rec.Epoch, rec.Before, 0)
	}
	for i := range rec.Runs {
		run := rec.Runs[i]
		switch tail := s.log.Tail(); {
		case run.Last() <= tail:
			continue
		case run.First > tail+1:
			return false
		default:
			run.Cut(tail+1, run.Last())
			s.log.AppendRun(&run)
		}
	}
	if rec.Tail > s.log.Tail() {
		return false
	}
	if rec.Tail == s.log.Tail() && (rec.Status != StatusQueued || s.status == StatusQueued) { // else it is an older one
		s.remote.node = c.Node
		s.remote.markSyncedLocked()
		s.info, s.started, s.first = rec.Info, rec.Timings.Started, rec.Timings.FirstToken
		s.account = account{made: rec.Account.Made, unwatched: rec.Account.Unwatched, endedBy: rec.Account.EndedBy}
		s.log.SetBefore(rec.Before)
		s.setMirrorStatusLocked(rec.Status, rec.Ending, rec.Timings.Ended)
	}
	return true
}

// setMirrorStatusLocked moves a mirror to a status. s.log is locked.
func (s *Stream) setMirrorStatusLocked(status Status, e Ending, ended time.Time) {
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

// demote makes a mirror of a stream that was this node's: another has taken it, while this one could not be reached.
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

// takeOver makes a stream this node's whose owner, dead, has died: it is interrupted, with what was saved of it. It
// reports whether this node owns it now; it does not where the stream has another owner by now, who may live.
// ErrNotFound says that the stream is nowhere any more. After another error the caller tries again: a claim whose answer
// was lost counts.
func (h *Hub) takeOver(s *Stream, dead string) (bool, error) {
	s.log.Lock()
	r := s.remote
	s.log.Unlock()
	if r == nil {
		return true, nil
	}
	found, err := h.cluster.streams.ClaimStream(s.ID, dead)
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
	if found.Node != h.cluster.streams.Node() {
		s.reloadMirror()
		return false, nil
	}
	s.unfollow()
	s.log.Lock()
	if s.remote != r { // it was taken over, or lost, meanwhile
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
		h.streams.resumed(s)
	}
	s.log.Unlock()
	if !ended {
		s.endLocal(StatusInterrupted, Ending{by: "node", Error: &EndError{Code: "node_lost", Message: "the node that wrote the stream has died"}})
	}
	return true, nil
}

// beginOwnEpochLocked gives a stream that may go on an epoch of this owner's: the owner before, or this node before its
// restart, may have shown its readers text that was not saved. s.log is locked.
func (s *Stream) beginOwnEpochLocked() {
	if !s.status.Ended() || s.status == StatusInterrupted {
		s.log.NewEpoch(s.hub.epochs.Next())
		s.hub.recorder.markChanged(s, false)
	}
}

// takeOverByID takes over a stream of a dead node's, if it has not ended and nobody else has it.
func (h *Hub) takeOverByID(node, id string) error {
	s := h.streams.find("", id)
	if s == nil {
		found, err := h.cluster.streams.FindStream("", id)
		switch {
		case errors.Is(err, errs.ErrNotFound):
			return nil
		case err != nil:
			return err
		case found.Record.Status.Ended():
			return nil
		}
		s = h.addMirror(found)
	}
	owner := s.remoteNode()
	if s.Status().Ended() || owner != node && owner != h.cluster.streams.Node() {
		return nil
	}
	if _, err := h.takeOver(s, owner); !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	return nil
}

// claimedLocked reports whether this node may own the stream of its mirror: it has asked to, and was not answered. Until
// that is known, the mirror is not dropped, for nobody else would end the stream. s.log is locked.
func (s *Stream) claimedLocked() bool {
	return s.remote != nil && (s.remote.asked || s.remote.node == s.hub.Node())
}

// settleClaims finds out which streams this node owns that it has asked for without being answered.
func (h *Hub) settleClaims() {
	if !h.cluster.sharesStreams() {
		return
	}
	for _, s := range h.streams.all() {
		s.log.Lock()
		claimed := s.claimedLocked()
		s.log.Unlock()
		if !claimed {
			continue
		}
		if _, err := h.takeOver(s, h.Node()); err != nil && !errors.Is(err, errs.ErrNotFound) {
			return // the store does not work: at the next turn
		}
	}
}

// takeOverIfOrphaned takes over a mirror's stream if its node has died.
func (h *Hub) takeOverIfOrphaned(s *Stream) {
	s.log.Lock()
	r, ended := s.remote, s.status.Ended()
	if r != nil {
		r.used = time.Now()
	}
	s.log.Unlock()
	if node := s.remoteNode(); node != "" && !ended && h.orphaned(node) {
		if _, err := h.takeOver(s, node); err != nil && !errors.Is(err, errs.ErrNotFound) {
			h.logger.Warn("a dead node's stream is not taken over", "stream", s.ID, "node", node, "error", err)
		}
	}
}
