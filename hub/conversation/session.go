package conversation

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Session is a conversation that is in use on this node: a client has entered it, or this node waits for the end of an
// answer. All clients of the conversation share it. The record is in the store, where other nodes may change it, so it
// is loaded again for each operation.
type Session struct {
	service *Service
	id      string
	topic   string // on which its events are published
	owner   string

	// Guarded by service.mu.
	users      int  // callers that must still Release it
	watching   bool // a goroutine watches answers of other nodes
	watchAgain bool // LookAfter was called since that goroutine last looked

	mu sync.Mutex // serializes this node's changes, so that they are stored and published in the same order

	// Guarded by mu.
	last    Record // as it was last loaded or saved here
	own     string // stream of the last answer that began on this node
	current string // the same, until the end of the answer is published
}

// Topic returns the topic of the conversation's events.
func (s *Session) Topic() string { return s.topic }

// Release ends the use of the session that began with Enter.
func (s *Session) Release() {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(s.service.sessions, s.id)
	}
}

// inBackground runs f in a goroutine of the hub's, and keeps the session in use until f returns.
func (s *Session) inBackground(f func()) {
	s.service.mu.Lock()
	s.users++
	s.service.mu.Unlock()
	s.service.hub.Background().Go(func() {
		defer s.Release()
		f()
	})
}

// Record loads the conversation.
func (s *Session) Record() (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loadLocked()
}

func (s *Session) loadLocked() (Record, error) {
	r, err := s.service.store.load(s.id)
	switch {
	case err != nil:
		return Record{}, err
	case r == nil: // it has expired in the store; its clients here continue with the last record
	case r.Owner != s.owner:
		return Record{}, fmt.Errorf("the conversation was forgotten, and is another one now: %w", errs.ErrNotFound)
	default:
		s.last = *r
	}
	return s.last, nil
}

// saveLocked stores r. The caller holds s.mu and the store's lock of the conversation.
func (s *Session) saveLocked(r *Record) error {
	next := *r
	next.Used = time.Now()
	if err := s.service.store.save(&next); err != nil {
		return err
	}
	*r, s.last = next, next
	return nil
}

// withLock loads the conversation and calls f. Meanwhile no other goroutine or node changes the conversation.
func (s *Session) withLock(f func(r Record) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := s.service.store.lock(s.id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := s.loadLocked()
	if err != nil {
		return err
	}
	return f(r)
}

// changeLocked edits and saves the conversation, and publishes the event about it as the user. Both happen under the
// lock, so the last event always describes the current state.
func (s *Session) changeLocked(
	r Record, user string, edit func(r *Record) error, event func(r *Record) hub.EventInput,
) error {
	before := r
	r.Context = maps.Clone(r.Context)
	if err := edit(&r); err != nil {
		return err
	}
	if err := s.saveLocked(&r); err != nil {
		return err
	}
	if _, err := s.service.hub.Publish(s.topic, user, []hub.EventInput{event(&r)}); err != nil {
		s.restoreLocked(&r, before)
		return err
	}
	return nil
}

// restoreLocked undoes a change. The limits allow it, because the earlier record was stored until now.
func (s *Session) restoreLocked(r *Record, before Record) {
	before.version = r.version
	_ = s.saveLocked(&before)
}

// running returns the exchange that is running, on this node or another. r.Running is not nil.
func (s *Session) running(r *Record) (*exchange, error) {
	run := r.Running
	x := &exchange{session: s}
	if q := r.find("", run.Message); q != nil {
		x.question = *q
	} else {
		x.question = Message{ID: run.Message, Metadata: MessageMetadata{User: run.User, Stream: run.Stream}}
	}
	stream, err := s.service.hub.Stream(run.User, run.Stream)
	if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return nil, err
	}
	x.stream = stream
	return x, nil
}
