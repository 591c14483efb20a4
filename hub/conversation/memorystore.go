package conversation

import (
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// storeLimits bounds a memoryStore.
type storeLimits struct {
	conversations int           // of all users
	ofUser        int           // conversations of one user; a further one evicts the least recently used
	bytes         int           // of all conversations, approximately
	ttl           time.Duration // since the last use of a conversation
}

var defaultStoreLimits = storeLimits{conversations: 10_000, ofUser: 100, bytes: 256 << 20, ttl: 24 * time.Hour}

// memoryStore keeps conversations in memory. It has no goroutine: each method removes expired conversations.
type memoryStore struct {
	limits storeLimits

	mu    sync.Mutex
	order list.List // of *Record, in the order of their last use
	byID  map[string]*list.Element
	users map[string][]string // ids, in the order of their last use
	bytes int
}

func newMemoryStore(l storeLimits) *memoryStore {
	return &memoryStore{limits: l, byID: make(map[string]*list.Element), users: make(map[string][]string)}
}

func (s *memoryStore) load(id string) (*Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	if el := s.byID[id]; el != nil {
		return el.Value.(*Record), nil
	}
	return nil, nil
}

func (s *memoryStore) latest(user string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	if ids := s.users[user]; len(ids) > 0 {
		return ids[len(ids)-1], nil
	}
	return "", nil
}

func (s *memoryStore) save(r *Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	old := s.byID[r.ID]
	if old != nil && old.Value.(*Record).version != r.version {
		return fmt.Errorf("the conversation was changed meanwhile: %w", errs.ErrConflict)
	}
	added := r.size()
	if old != nil {
		added -= old.Value.(*Record).size()
	}
	if s.bytes+added > s.limits.bytes && added > 0 {
		return limitError("bytes of all conversations", s.limits.bytes)
	}
	if old == nil {
		if err := s.makeRoom(r.Owner); err != nil {
			return err
		}
	} else {
		s.remove(old)
	}
	r.version++
	stored := *r
	s.byID[r.ID] = s.order.PushBack(&stored)
	s.users[r.Owner] = append(s.users[r.Owner], r.ID)
	s.bytes += r.size()
	return nil
}

// lock implements recordStore. It does nothing: without other nodes, the mutex of the only Session is enough.
func (s *memoryStore) lock(string) (unlock func(), err error) { return func() {}, nil }

func (s *memoryStore) shared() bool { return false }

func limitError(name string, limit int) error {
	return &errs.LimitError{Kind: errs.ErrLimited, Name: name, Limit: int64(limit), Retry: time.Minute}
}

// makeRoom evicts the user's least recently used conversation if the user has too many. The caller holds s.mu.
func (s *memoryStore) makeRoom(user string) error {
	if ids := s.users[user]; len(ids) >= s.limits.ofUser {
		s.remove(s.byID[ids[0]])
	} else if len(s.byID) >= s.limits.conversations {
		return limitError("conversations", s.limits.conversations)
	}
	return nil
}

// expire removes conversations that were not used for the ttl. The caller holds s.mu.
func (s *memoryStore) expire(now time.Time) {
	for el := s.order.Front(); el != nil && now.Sub(el.Value.(*Record).Used) > s.limits.ttl; el = s.order.Front() {
		s.remove(el)
	}
}

func (s *memoryStore) remove(el *list.Element) {
	r := s.order.Remove(el).(*Record)
	delete(s.byID, r.ID)
	s.bytes -= r.size()
	ids := s.users[r.Owner]
	if i := slices.Index(ids, r.ID); i >= 0 {
		ids = slices.Delete(ids, i, i+1)
	}
	if s.users[r.Owner] = ids; len(ids) == 0 {
		delete(s.users, r.Owner)
	}
}
