package conversation

import (
	"log/slog"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// Options are what a Service needs.
type Options struct {
	Hub        *hub.Hub
	Logger     *slog.Logger
	Store      Store // nil: conversations are stored in memory
	Vocabulary Vocabulary
}

// Service has the conversations of one node: the store of all of them, and a Session of each that is in use here.
type Service struct {
	hub    *hub.Hub
	logger *slog.Logger
	words  Vocabulary
	store  recordStore

	mu   sync.Mutex // may be taken while a session's mu is held, not the other way round
	live map[string]*Session
}

// New returns the conversations of a node. It has no goroutine of its own: those that it starts are the hub's.
func New(o Options) *Service {
	cs := &Service{hub: o.Hub, logger: o.Logger, words: o.Vocabulary, live: make(map[string]*Session)}
	if cs.store = newMemoryStore(defaultStoreLimits); o.Store != nil {
		cs.store = newSharedStore(o.Store, defaultStoreLimits)
	}
	return cs
}

// owner returns the user whose conversation that is, or "".
func (cs *Service) owner(id string) (string, error) {
	cs.mu.Lock()
	s := cs.live[id]
	cs.mu.Unlock()
	if s != nil {
		return s.owner, nil
	}
	r, err := cs.store.load(id)
	if r == nil || err != nil {
		return "", err
	}
	return r.Owner, nil
}

// find returns the session of a conversation that is in use, until its release; nil for none.
func (cs *Service) find(id string) *Session {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.live[id]
	if s != nil {
		s.users++
	}
	return s
}

// use returns the session of a conversation, until its release.
func (cs *Service) use(r *Record) *Session {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.live[r.ID]
	if s == nil {
		s = &Session{service: cs, id: r.ID, topic: topicOf(r.ID), owner: r.Owner, last: *r}
		cs.live[r.ID] = s
	}
	s.users++
	return s
}
