package channels

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
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

// talk is a conversation that somebody has joined, or that has an answer under way. It is the same for all sessions.
type talk struct {
	of    *conversations
	id    string
	topic string // where its events are
	owner string

	holders int // guarded by of.mu

	mu      sync.Mutex // guards what follows, and makes one order of what is kept and what is published
	record  record
	running *turn // nil: none
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
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if t = cs.live[id]; t != nil {
		t.holders++
		return t, false, nil
	}
	r, err := cs.store.load(id)
	if err != nil {
		return nil, false, err
	}
	if r == nil {
		created = true
		if r, err = cs.create(id, fresh); err != nil {
			return nil, false, err
		}
	}
	t = &talk{of: cs, id: id, topic: conversationTopic(id), owner: r.Owner, holders: 1, record: *r}
	cs.live[id] = t
	return t, created, nil
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

// hold keeps the talk alive for one user of it more.
func (t *talk) hold() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.holders++
}

// release ends what enter or hold began.
func (t *talk) release() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.holders--; t.holders == 0 {
		delete(t.of.live, t.id)
	}
}

// snapshot returns the conversation as it is now, and the answer that is under way, or nil.
func (t *talk) snapshot() (record, *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record, t.running
}

// saveLocked makes r what the conversation is. t.mu is held.
func (t *talk) saveLocked(r record) error {
	r.Used = time.Now()
	if err := t.of.store.save(&r); err != nil {
		return err
	}
	t.record = r
	return nil
}

// change saves what edit makes of the conversation, and publishes an event of it: what everybody hears last is how it is.
func (t *talk) change(edit func(r *record) error, publish func(r *record) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.record
	r := before
	r.Context = maps.Clone(r.Context)
	if err := edit(&r); err != nil {
		return err
	}
	if err := t.saveLocked(r); err != nil {
		return err
	}
	if err := publish(&r); err != nil {
		_ = t.saveLocked(before) // no larger than what was kept a moment ago
		return err
	}
	return nil
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

// publishTo publishes what the server itself says, also while it drains.
func publishTo(h *hub.Hub, topic, sender string, in hub.EventInput) error {
	_, err := h.Conclude(topic, sender, []hub.EventInput{in})
	return err
}
