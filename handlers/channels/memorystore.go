package channels

import (
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// recordStore keeps conversations. Safe for concurrent use. Errors of one that nodes share: hub.ErrUnavailable.
type recordStore interface {
	// load returns the conversation of that id, or nil.
	load(id string) (*record, error)
	// latest returns the id of the conversation of the user's own that was saved last; "" is none.
	latest(user string) (string, error)
	// save keeps r in the place of the one of its version, or of none, and moves r.version on. Errors, and then what was kept stays: *hub.LimitError;
	// hub.ErrConflict where another version is kept by now.
	save(r *record) error
	// lock returns once no other node has locked the conversation, until unlock is called.
	lock(id string) (unlock func(), err error)
	// shared reports whether other nodes have the same conversations.
	shared() bool
}

// storeLimits bounds a memoryStore.
type storeLimits struct {
	conversations int           // at one time
	ofUser        int           // and of one user: beyond, the one that was not used for longest is forgotten
	bytes         int           // of all, about
	ttl           time.Duration // since its last use
}

var defaultStoreLimits = storeLimits{conversations: 10_000, ofUser: 100, bytes: 256 << 20, ttl: 24 * time.Hour}

// memoryStore keeps conversations until the server ends. It needs no clock of its own: what is too old goes when something new comes, and
// is not found meanwhile.
type memoryStore struct {
	limits storeLimits

	mu    sync.Mutex
	order list.List // of *record, in the order of their last use
	byID  map[string]*list.Element
	users map[string][]string // ids, in the order of their last use
	bytes int
}

func newMemoryStore(l storeLimits) *memoryStore {
	return &memoryStore{limits: l, byID: make(map[string]*list.Element), users: make(map[string][]string)}
}

func (s *memoryStore) load(id string) (*record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	if el := s.byID[id]; el != nil {
		return el.Value.(*record), nil
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

func (s *memoryStore) save(r *record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	old := s.byID[r.ID]
	if old != nil && old.Value.(*record).version != r.version {
		return fmt.Errorf("the conversation was changed meanwhile: %w", hub.ErrConflict)
	}
	more := r.size()
	if old != nil {
		more -= old.Value.(*record).size()
	}
	if s.bytes+more > s.limits.bytes && more > 0 {
		return &hub.LimitError{Kind: hub.ErrLimited, Name: "bytes of all conversations", Limit: int64(s.limits.bytes), Retry: time.Minute}
	}
	if old == nil {
		if err := s.room(r.Owner); err != nil {
			return err
		}
	} else {
		s.remove(old)
	}
	r.version++
	kept := *r
	s.byID[r.ID] = s.order.PushBack(&kept)
	s.users[r.Owner] = append(s.users[r.Owner], r.ID)
	s.bytes += r.size()
	return nil
}

// lock implements recordStore: a talk is the only one of its conversation here.
func (s *memoryStore) lock(string) (unlock func(), err error) { return func() {}, nil }

func (s *memoryStore) shared() bool { return false }

// room makes room for one conversation more of a user. s.mu is held.
func (s *memoryStore) room(user string) error {
	if ids := s.users[user]; len(ids) >= s.limits.ofUser {
		s.remove(s.byID[ids[0]])
	} else if len(s.byID) >= s.limits.conversations {
		return &hub.LimitError{Kind: hub.ErrLimited, Name: "conversations", Limit: int64(s.limits.conversations), Retry: time.Minute}
	}
	return nil
}

// expire forgets what nobody has used for long. s.mu is held.
func (s *memoryStore) expire(now time.Time) {
	for el := s.order.Front(); el != nil && now.Sub(el.Value.(*record).Used) > s.limits.ttl; el = s.order.Front() {
		s.remove(el)
	}
}

func (s *memoryStore) remove(el *list.Element) {
	r := s.order.Remove(el).(*record)
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
