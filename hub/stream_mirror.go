package hub

import (
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// remote is the state of a stream that another node owns: this node has a mirror of it. The stream's log guards it.
type remote struct {
	node   string                        // the owner; "" while unknown: this node owned the stream, and has lost it
	synced chan struct{}                 // closed once the mirror has what the owner has; nil from then on
	used   time.Time                     // when a client last asked for the stream
	asked  bool                          // this node has claimed the stream, and the answer was lost
	mirror *mirror.Mirror[*SharedStream] // nil: the stream is not in the store
}

// isRemote reports whether another node owns the stream.
func (s *Stream) isRemote() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.remote != nil
}

// remoteNode returns the other node that owns the stream, or "": this node owns it, or the owner is unknown.
func (s *Stream) remoteNode() string {
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote == nil {
		return ""
	}
	return s.remote.node
}

// syncTimeout is how long a request waits for the mirror of a stream that this node has just lost.
const syncTimeout = 5 * time.Second

// awaitSync waits until the mirror of a stream that this node has just lost has the new owner's text: this node's own
// copy is outdated. Errors match ErrUnavailable.
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

// ownerNode returns the node that owns the stream, or "" for this one. Errors match ErrUnavailable.
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
		return "", errOwnerUnreachable // no node owns it any more
	}
	return s.remote.node, nil
}

// markSyncedLocked ends the wait of awaitSync. The stream's log is locked.
func (r *remote) markSyncedLocked() {
	if r.synced != nil {
		close(r.synced)
		r.synced = nil
	}
}

// mirrorFromStore returns a mirror of a stream that this node does not know yet.
func (c *Cluster) mirrorFromStore(user, id string) (*Stream, error) {
	found, err := c.streams.FindStream(user, id)
	if err != nil {
		return nil, err
	}
	if found.Node == c.streams.Node() {
		return nil, errs.ErrNotFound // this node is creating or dropping it
	}
	return c.addMirror(found), nil
}

// addMirror registers a mirror of a stream and starts it. If this node has a stream of that id, it returns that one.
func (c *Cluster) addMirror(found *SharedStream) *Stream {
	s := c.mirrorOf(found)
	if had := c.hub.streams.addMirror(s); had != nil {
		return had
	}
	c.hub.logBytes.Add(s.log.Size() + streamCost)
	s.follow()
	return s
}

// mirrorOf returns a new mirror with the text of a record.
func (c *Cluster) mirrorOf(found *SharedStream) *Stream {
	s := c.hub.streamOf(&found.Record)
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

// mirrorLocked makes the stream a mirror of one that node owns. s.log is locked, or s is new.
func (s *Stream) mirrorLocked(node string) *remote {
	r := &remote{node: node, used: time.Now()}
	r.mirror = mirror.New(streamReplica{s, r}, &s.hub.background)
	s.remote = r
	return r
}

// currentMirror returns the stream's mirror, or nil if this node owns the stream or the stream is not in the store.
func (s *Stream) currentMirror() *mirror.Mirror[*SharedStream] {
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote == nil {
		return nil
	}
	return s.remote.mirror
}

// follow starts the stream's mirror.
func (s *Stream) follow() {
	if m := s.currentMirror(); m != nil {
		m.Start()
	}
}

// unfollow closes the stream's mirror. The stream must not be locked.
func (s *Stream) unfollow() {
	if m := s.currentMirror(); m != nil {
		m.Close()
	}
}

// reloadMirror makes the mirror load the whole stream from the store.
func (s *Stream) reloadMirror() {
	if m := s.currentMirror(); m != nil {
		m.Gap()
	}
}

// streamReplica is the mirror.Replica of a stream. It does nothing once the stream has another remote.
type streamReplica struct {
	*Stream
	remote *remote
}

// Follow implements mirror.Replica.
func (r streamReplica) Follow(heard func(*SharedStream), gap func()) (stop func()) {
	return r.hub.cluster.streams.FollowStream(r.ID, heard, gap)
}

// Take implements mirror.Replica. Nothing is missing once this node owns the stream.
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
	if !r.isStream(&found.Record) {
		r.endLost(r.remote)
		return nil
	}
	r.log.Lock()
	defer r.log.UnlockAndWake()
	if r.Stream.remote != r.remote {
		return nil
	}
	if r.remote.node == "" {
		r.remote.node = found.Node // which is taking it over
	}
	r.applyLocked(found, true)
	return nil
}

// isStream reports whether a record is of this stream, and not of a later one of the same id.
func (s *Stream) isStream(rec *StreamRecord) bool {
	return rec.Owner == s.Owner && rec.Kind == s.Kind && rec.Topic == s.Topic && rec.Digest == s.digest
}

// loadMissing handles a stream that the store does not have:
//
//   - The stream has ended: it was deleted since.
//   - Its owner lives and has it: the store has lost it, and the owner saves it again.
//   - Its owner lives and does not have it, and the mirror is empty: its registration failed there.
//   - Otherwise the stream is lost, and its mirror ends.
func (r streamReplica) loadMissing() error {
	node := r.remoteNode()
	if r.Status().Ended() || node == "" {
		return nil
	}
	asked := !r.hub.cluster.orphaned(node)
	if asked {
		_, err := r.hub.cluster.callWithin(callTimeout, node, callSaveStream, withBytes(streamQuestion{r.ID}, nil))
		if !errors.Is(err, errNotOwner) {
			return err
		}
	}
	r.log.Lock()
	if asked && r.Stream.remote == r.remote && r.log.Tail() == 0 { // the client that asked for it was told so
		r.endMirrorLocallyLocked(StatusFailed, endWithdrawn)
	}
	r.log.UnlockAndWake()
	r.endLost(r.remote)
	return nil
}

// endLost ends and drops a mirror whose stream no longer exists. Its id is free again.
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

// endMirrorLocked ends a mirror whose owner has died, and whose stream is no longer in the store. s.log is locked.
func (s *Stream) endMirrorLocked() {
	s.remote.markSyncedLocked()
	if s.status.Ended() {
		return
	}
	why := &EndError{Code: "stream_lost", Message: "the shared store has lost the stream"}
	e := Ending{Status: StatusInterrupted, Error: why}
	s.log.NewEpoch(s.hub.epochs.Next()) // no other node uses this position for something else
	s.endMirrorLocallyLocked(StatusInterrupted, e)
}

// endMirrorLocallyLocked ends a mirror with an end that its owner has not written. s.log is locked.
func (s *Stream) endMirrorLocallyLocked(status Status, e Ending) {
	e.Status = status
	now, before := time.Now(), s.log.Size()
	s.setMirrorStatusLocked(status, e, now)
	s.log.Append(&log.Event{Kind: log.EndEvent, Name: EndName, Data: e.appendJSON(nil), Time: now})
	s.hub.logBytes.Add(s.log.Size() - before)
}

// applyLocked applies a change that the owner has saved, or the whole stream. It reports false if entries before the
// change are missing. s.log is locked.
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
	older := rec.Tail < s.log.Tail() || rec.Status == StatusQueued && s.status != StatusQueued
	if !older {
		s.remote.node = c.Node
		s.remote.markSyncedLocked()
		s.info, s.started, s.first = rec.Info, rec.Timings.Started, rec.Timings.FirstToken
		s.account = account{made: rec.Account.Made, unwatched: rec.Account.Unwatched, endedBy: rec.Account.EndedBy}
		s.log.SetBefore(rec.Before)
		s.setMirrorStatusLocked(rec.Status, rec.Ending, rec.Timings.Ended)
	}
	return true
}

// setMirrorStatusLocked sets the status of a mirror. s.log is locked.
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
