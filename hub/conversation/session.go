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
// answer. All clients of one conversation share it. The record is in the store, which other nodes may share, so it is
// read there anew whenever it matters.
type Session struct {
	service *Service
	id      string
	topic   string // of its events
	owner   string

	// Guarded by service.mu.
	users     int  // that have not released it
	looking   bool // a goroutine looks after answers of other nodes
	lookAgain bool // and must once more

	mu sync.Mutex // makes one order of what is stored and what is published by this node

	// Guarded by mu.
	last    Record // as it was last seen here
	own     string // the answer, by its stream, that was begun here last
	current string // the same, until its end is told
}

// Topic returns the topic of the conversation's events.
func (s *Session) Topic() string { return s.topic }

// Release ends a use of the session, which Enter began.
func (s *Session) Release() {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(s.service.live, s.id)
	}
}

// inBackground runs f in a goroutine of the hub's. The session is in use until f returns.
func (s *Session) inBackground(f func()) {
	s.service.mu.Lock()
	s.users++
	s.service.mu.Unlock()
	s.service.hub.Background().Go(func() {
		defer s.Release()
		f()
	})
}

// Record returns the conversation as it is now.
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
	case r == nil: // it was forgotten; whoever is still here goes on with it
	case r.Owner != s.owner:
		return Record{}, fmt.Errorf("the conversation was forgotten, and is another one now: %w", errs.ErrNotFound)
	default:
		s.last = *r
	}
	return s.last, nil
}

// saveLocked makes r what the conversation is. s.mu is locked, and nobody else changes the conversation.
func (s *Session) saveLocked(r *Record) error {
	next := *r
	next.Used = time.Now()
	if err := s.service.store.save(&next); err != nil {
		return err
	}
	*r, s.last = next, next
	return nil
}

// alone calls f with the conversation as it is now, while nobody else changes it, on any node.
func (s *Session) alone(f func(r Record) error) error {
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

// changeLocked saves what edit makes of the conversation, and publishes the event of it as the user. Both happen under
// the lock, so the event that is published last tells how the conversation is.
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

// restoreLocked makes the conversation again what it was before r. It fits, because it was stored a moment ago.
func (s *Session) restoreLocked(r *Record, before Record) {
	before.version = r.version
	_ = s.saveLocked(&before)
}

// running returns the question that is being answered, on whichever node that is.
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
