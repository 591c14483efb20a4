package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// CatchUp makes sure that this node has what follows p, where another node writes the stream: nodes tell each other of
// a stream's text a few times a second, and a reader that comes over from the stream's own node knows more. It returns
// when this node has heard of p, or the stream has no such place. Errors match ErrUnavailable: nobody can be asked at
// the moment.
func (s *Stream) CatchUp(p log.Position) error {
	return s.catchUp(func() bool { return !s.log.MayCome(p) })
}

// CatchUpToByte is CatchUp for a place in the text.
func (s *Stream) CatchUpToByte(at int) error {
	return s.catchUp(func() bool { return at <= s.log.TextLen() })
}

// catchUp has the stream fetched until enough, which is called with s.log locked, says so, or there is no more. Many
// may come over at one time: they share what is fetched, and what was asked for before somebody came may not be enough
// for that one.
func (s *Stream) catchUp(enough func() bool) error {
	for range 2 {
		s.log.Lock()
		done := s.remote == nil || enough()
		s.log.Unlock()
		if done {
			return nil
		}
		if _, err, _ := s.hub.cluster.fetches.Do(s.ID, func() (any, error) { return nil, s.fetch(callTimeout) }); err != nil {
			return err
		}
	}
	return nil
}

// refreshTimeout is for how long whoever wants the newest waits for another node, before what is known here will do.
const refreshTimeout = time.Second

// Refresh makes sure, where another node writes the stream, that this one has what that one had when it was called.
// Errors match ErrUnavailable: it has what it had.
func (s *Stream) Refresh() error {
	if !s.isRemote() || s.Status().Ended() {
		return nil
	}
	return s.fetch(refreshTimeout)
}

// fetch has the stream's node save it, and takes what the store has then.
func (s *Stream) fetch(patience time.Duration) error {
	if !s.Status().Ended() {
		if _, taken, err := s.askOwner(patience, callSaveStream, withBytes(streamQuestion{s.ID}, nil)); err != nil || taken {
			return err
		}
	}
	if m := s.currentMirror(); m != nil {
		return m.Refresh(patience)
	}
	return nil
}
