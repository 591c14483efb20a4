package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// CatchUp makes sure that this node has what follows p if another node owns the stream. Mirrors lag the owner by up to
// 250 ms, so a reader that moves here from the owner may be ahead of the mirror. CatchUp returns when the mirror has
// reached p, or the stream has no such position. Errors match ErrUnavailable: the owner cannot be reached.
func (s *Stream) CatchUp(p log.Position) error {
	return s.catchUp(func() bool { return !s.log.MayCome(p) })
}

// CatchUpToByte is CatchUp for an offset in the text.
func (s *Stream) CatchUpToByte(at int) error {
	return s.catchUp(func() bool { return at <= s.log.TextLen() })
}

// catchUp fetches the stream from its owner until enough, which is called with s.log locked, returns true, or there is
// no more. Readers that move here at the same time share a fetch. One that joined a fetch already under way may need a
// second one.
func (s *Stream) catchUp(enough func() bool) error {
	for range 2 {
		s.log.Lock()
		done := s.remote == nil || enough()
		s.log.Unlock()
		if done {
			return nil
		}
		fetch := func() (any, error) { return nil, s.fetch(callTimeout) }
		if _, err, _ := s.hub.cluster.fetches.Do(s.ID, fetch); err != nil {
			return err
		}
	}
	return nil
}

// refreshTimeout is how long Refresh waits for the owner before the caller uses what the mirror has.
const refreshTimeout = time.Second

// Refresh brings the mirror, if another node owns the stream, to what the owner had when Refresh was called. Errors
// match ErrUnavailable: the mirror is unchanged.
func (s *Stream) Refresh() error {
	if !s.isRemote() || s.Status().Ended() {
		return nil
	}
	return s.fetch(refreshTimeout)
}

// fetch makes the owner save the stream, and loads it from the store.
func (s *Stream) fetch(patience time.Duration) error {
	if !s.Status().Ended() {
		question := withBytes(streamQuestion{s.ID}, nil)
		if _, taken, err := s.askOwner(patience, callSaveStream, question); err != nil || taken {
			return err
		}
	}
	if m := s.currentMirror(); m != nil {
		return m.Refresh(patience)
	}
	return nil
}
