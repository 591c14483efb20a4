package channels

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// conversations are those of one server: what is kept of each, and a talk for each that somebody uses now.
type conversations struct {
	store recordStore

	mu   sync.Mutex // may be taken while a talk's mu is held, not the other way round
	live map[string]*talk
}

func newConversations(store recordStore) *conversations {
	return &conversations{store: store, live: make(map[string]*talk)}
}

// owner returns whose conversation that is, or "".
func (cs *conversations) owner(id string) (string, error) {
	cs.mu.Lock()
	t := cs.live[id]
	cs.mu.Unlock()
	if t != nil {
		return t.owner, nil
	}
	r, err := cs.store.load(id)
	if r == nil || err != nil {
		return "", err
	}
	return r.Owner, nil
}

// lobby returns the id of the user's latest conversation, or a new id.
func (cs *conversations) lobby(user string) (string, error) {
	id, err := cs.store.latest(user)
	if id == "" && err == nil {
		id = newUUID()
	}
	return id, err
}

// enter returns the conversation for a client of user, until its release, or the new one that fresh describes; created tells which.
func (cs *conversations) enter(id string, fresh record) (t *talk, created bool, err error) {
	if t = cs.find(id); t != nil {
		return t, false, nil
	}
	r, err := cs.store.load(id)
	if r == nil && err == nil {
		r, err = cs.create(id, fresh)
		created = err == nil
	}
	if errors.Is(err, errs.ErrConflict) { // somebody else has begun it meanwhile
		r, err = cs.store.load(id)
	}
	switch {
	case err != nil:
		return nil, false, err
	case r == nil:
		return nil, false, errForgotten
	}
	return cs.hold(r), created, nil
}

// errForgotten is that of who comes at the very moment at which a conversation is forgotten.
var errForgotten = fmt.Errorf("the conversation has just been forgotten; ask again: %w", errs.ErrUnavailable)

// find returns the talk of a conversation that somebody uses now, until its release; nil for none.
func (cs *conversations) find(id string) *talk {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	t := cs.live[id]
	if t != nil {
		t.holders++
	}
	return t
}

// hold returns the talk of a conversation, until its release.
func (cs *conversations) hold(r *record) *talk {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	t := cs.live[r.ID]
	if t == nil {
		t = &talk{of: cs, id: r.ID, topic: conversationTopic(r.ID), owner: r.Owner, last: *r}
		cs.live[r.ID] = t
	}
	t.holders++
	return t
}

// create keeps a new conversation, which begins with the model that its owner has made the default.
func (cs *conversations) create(id string, r record) (*record, error) {
	before, err := cs.store.latest(r.Owner)
	if err != nil {
		return nil, err
	}
	if last, err := cs.store.load(before); err == nil && last != nil && last.Model.Default {
		r.Model = last.Model
	}
	r.ID, r.Session, r.Used = id, newSession(), time.Now()
	return &r, cs.store.save(&r)
}

const (
	conversationPrefix = "conversation:"
	lobbyTopic         = conversationPrefix + "lobby"
)

func conversationTopic(id string) string { return conversationPrefix + id }

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newSession() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return "session_" + hex.EncodeToString(b[:])
}
