package channels

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// talk is a conversation that somebody on this node has joined, or that has an answer under way here. It is the same for all sessions. What it says is
// kept in the store, which other nodes may share: so it is read there anew whenever it matters.
type talk struct {
	of    *conversations
	id    string
	topic string // where its events are
	owner string

	holders  int    // guarded by of.mu
	attended string // the answer, by its stream, whose end this node waits for; guarded by of.mu

	mu      sync.Mutex // makes one order of what is kept and what is published by this node
	last    record     // as it was last seen here; guarded by mu
	current string     // the answer, by its stream, that is made here; guarded by mu
}

// release ends what find and hold began.
func (t *talk) release() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.holders--; t.holders == 0 {
		delete(t.of.live, t.id)
	}
}

// attend runs wait, which waits for the end of an answer, in a goroutine of the hub's, unless this node waits for that end already.
func (t *talk) attend(h *hub.Hub, stream string, wait func()) {
	t.of.mu.Lock()
	known := t.attended == stream
	if t.attended = stream; !known {
		t.holders++
	}
	t.of.mu.Unlock()
	if !known {
		h.Go(func() {
			defer t.release()
			wait()
		})
	}
}

// snapshot returns the conversation as it is now.
func (t *talk) snapshot() (record, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loadLocked()
}

func (t *talk) loadLocked() (record, error) {
	r, err := t.of.store.load(t.id)
	switch {
	case err != nil:
		return record{}, err
	case r == nil: // it was forgotten; whoever is still here goes on with it
	case r.Owner != t.owner:
		return record{}, fmt.Errorf("the conversation was forgotten, and is another one now: %w", hub.ErrNotFound)
	default:
		t.last = *r
	}
	return t.last, nil
}

// saveLocked makes r what the conversation is. t.mu is held, and nobody else changes the conversation.
func (t *talk) saveLocked(r *record) error {
	next := *r
	next.Used = time.Now()
	if err := t.of.store.save(&next); err != nil {
		return err
	}
	*r, t.last = next, next
	return nil
}

// alone has f do something with the conversation, as it is now, while nobody else changes it.
func (t *talk) alone(f func(r record) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	unlock, err := t.of.store.lock(t.id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := t.loadLocked()
	if err != nil {
		return err
	}
	return f(r)
}

// change saves what edit makes of the conversation, and publishes an event of it: what everybody hears last is how it is.
func (t *talk) change(edit func(r *record) error, publish func(r *record) error) error {
	return t.alone(func(r record) error { return t.changeLocked(r, edit, publish) })
}

func (t *talk) changeLocked(r record, edit func(r *record) error, publish func(r *record) error) error {
	before := r
	r.Context = maps.Clone(r.Context)
	if err := edit(&r); err != nil {
		return err
	}
	if err := t.saveLocked(&r); err != nil {
		return err
	}
	if err := publish(&r); err != nil {
		t.restoreLocked(&r, before)
		return err
	}
	return nil
}

// restoreLocked makes the conversation again what it was before r: no larger than what was kept a moment ago.
func (t *talk) restoreLocked(r *record, before record) {
	before.version = r.version
	_ = t.saveLocked(&before)
}

// cancel ends the answer that is being made, and reports how many there were.
func (t *talk) cancel(h *hub.Hub, logger *slog.Logger, by string) (n int, err error) {
	err = t.alone(func(r record) error {
		n, err = t.cancelLocked(h, logger, &r, by)
		return err
	})
	return n, err
}

func (t *talk) cancelLocked(h *hub.Hub, logger *slog.Logger, r *record, by string) (int, error) {
	if r.Running == nil {
		return 0, nil
	}
	u, err := t.turn(h, logger, r)
	if err != nil {
		return 0, err
	}
	if u.stream != nil {
		u.stream.Cancel(by)
	}
	return 1, u.concludeLocked(r)
}

// turn returns the question that is being answered, wherever that is done.
func (t *talk) turn(h *hub.Hub, logger *slog.Logger, r *record) (*turn, error) {
	run := r.Running
	u := &turn{talk: t, hub: h, logger: logger, model: run.Model, question: chatMessage{ID: run.Message, Metadata: messageMetadata{User: run.User, Stream: run.Stream}}}
	if q := r.find("", run.Message); q != nil {
		u.question = *q
	}
	s, err := h.Stream(run.User, run.Stream)
	if err != nil && !errors.Is(err, hub.ErrNotFound) {
		return nil, err
	}
	u.stream = s
	return u, nil
}
