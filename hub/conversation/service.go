package conversation

import (
	"log/slog"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// Options configure a Service.
type Options struct {
	Hub        *hub.Hub
	Logger     *slog.Logger
	Store      Store // nil: conversations are kept in memory
	Vocabulary Vocabulary
}

// Service has the conversations of one node: the store of all conversations, and a Session for each that is in use.
type Service struct {
	hub        *hub.Hub
	logger     *slog.Logger
	vocabulary Vocabulary
	store      recordStore

	mu       sync.Mutex // comes after Session.mu in the lock order
	sessions map[string]*Session
}

// New returns the Service of a node. Its goroutines are run by the hub, so it need not be closed.
func New(o Options) *Service {
	cs := &Service{hub: o.Hub, logger: o.Logger, vocabulary: o.Vocabulary, sessions: make(map[string]*Session)}
	if cs.store = newMemoryStore(defaultStoreLimits); o.Store != nil {
		cs.store = newSharedStore(o.Store, defaultStoreLimits)
	}
	return cs
}

// owner returns the owner of a conversation, or "" if it does not exist.
func (cs *Service) owner(id string) (string, error) {
	cs.mu.Lock()
	s := cs.sessions[id]
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

// find returns the session of a conversation, which the caller must Release, or nil if the conversation is not in use.
func (cs *Service) find(id string) *Session {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.sessions[id]
	if s != nil {
		s.users++
	}
	return s
}

// use returns the session of a conversation, which the caller must Release. It creates the session if there is none.
func (cs *Service) use(r *Record) *Session {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.sessions[r.ID]
	if s == nil {
		s = &Session{service: cs, id: r.ID, topic: topicOf(r.ID), owner: r.Owner, last: *r}
		cs.sessions[r.ID] = s
	}
	s.users++
	return s
}
