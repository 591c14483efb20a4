package channels

import (
	"encoding/json"
	"fmt"

	"github.com/duckwire/duckwire/hub"
)

// sharedStore keeps conversations where other nodes have them, too. Their bytes are bounded by what keeps them.
type sharedStore struct {
	store hub.ConversationStore
	room  hub.ConversationRoom
}

func newSharedStore(store hub.ConversationStore, l storeLimits) *sharedStore {
	return &sharedStore{store, hub.ConversationRoom{TTL: l.ttl, OfUser: l.ofUser}}
}

func (s *sharedStore) load(id string) (*record, error) {
	kept, err := s.store.LoadConversation(id)
	if kept == nil || err != nil {
		return nil, err
	}
	r := &record{version: kept.Version}
	if err := json.Unmarshal(kept.Data, r); err != nil {
		return nil, fmt.Errorf("the conversation %q cannot be read; nodes of different versions? %w", id, err)
	}
	return r, nil
}

func (s *sharedStore) latest(user string) (string, error) { return s.store.LatestConversation(user) }

func (s *sharedStore) save(r *record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	kept := hub.KeptConversation{ID: r.ID, Owner: r.Owner, Version: r.version, Data: data}
	if err := s.store.SaveConversation(&kept, s.room); err != nil {
		return err
	}
	r.version = kept.Version
	return nil
}

func (s *sharedStore) lock(id string) (unlock func(), err error) { return s.store.LockConversation(id) }

func (s *sharedStore) shared() bool { return true }
