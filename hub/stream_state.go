package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// StreamState is a snapshot of a stream.
type StreamState struct {
	Status   Status
	Position log.Position
	Text     []byte // from At on; shared, so it must not be changed
	At       int    // where Text begins in the stream's text, in bytes
	Bytes    int    // length of the stream's text so far
	Watchers int
	Ending   Ending // zero while it runs
	Info     CompletionInfo
	Timings  Timings
	Account  Account
}

// Timings say when a stream was created, started and so on. A zero time has not come yet.
type Timings struct {
	Created, Started, FirstToken, Ended time.Time
}

// Account counts a stream's tokens. A token is one piece of text or one event as the producer sent it.
type Account struct {
	Made      int    // by the producer
	Delivered int    // given to at least one watcher
	Unwatched int    // made while nobody watched
	EndedBy   string // who or what ended it: a user, "unwatched", "provider", "lease"; "" for its own end
}

// State returns the stream's state with its whole text.
func (s *Stream) State() StreamState {
	s.log.Lock()
	defer s.log.Unlock()
	return s.stateLocked(0)
}

func (s *Stream) stateLocked(at int) StreamState {
	_, delivered := s.log.Delivered()
	return StreamState{
		Status: s.status, Position: s.log.Position(s.log.Tail()), Text: s.log.Text(at), At: at, Bytes: s.log.TextLen(),
		Watchers: s.watchersLocked(), Ending: s.ending, Info: s.infoLocked(),
		Timings: Timings{Created: s.created, Started: s.started, FirstToken: s.first, Ended: s.ended},
		Account: Account{
			Made: s.account.made, Delivered: delivered, Unwatched: s.account.unwatched, EndedBy: s.account.endedBy,
		},
	}
}

// infoLocked returns the info with defaults for what the provider left out, so that all readers get the same chunks.
func (s *Stream) infoLocked() CompletionInfo {
	info := s.info
	if info.ID == "" {
		info.ID = s.ID
	}
	if info.Created == 0 {
		info.Created = s.created.Unix()
	}
	if info.Model == "" && s.Completion != nil {
		info.Model = s.Completion.Model
	}
	return info
}

// Status returns the stream's status.
func (s *Stream) Status() Status {
	s.log.Lock()
	defer s.log.Unlock()
	return s.status
}

// Info returns the members that all chunks of a completion share.
func (s *Stream) Info() CompletionInfo {
	s.log.Lock()
	defer s.log.Unlock()
	return s.infoLocked()
}

// AtEnd reports whether the stream has ended and nothing follows p.
func (s *Stream) AtEnd(p log.Position) bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.status.Ended() && (p.Now || p == s.log.Position(s.log.Tail()))
}

// Epoch returns the epoch of the stream's log.
func (s *Stream) Epoch() string {
	s.log.Lock()
	defer s.log.Unlock()
	return s.log.Epoch()
}

// Snapshot reads r to the tail and returns the stream's state at that moment: Text is the text that followed r, and the
// items are the events that did. With a Reset, r could not continue, and both are what follows Reset.From.
func (s *Stream) Snapshot(r *log.Reader) (StreamState, []log.Item, *log.Reset) {
	s.log.Lock()
	defer s.log.Unlock()
	events, at, reset := s.log.ReadEvents(r)
	return s.stateLocked(at), events, reset
}
