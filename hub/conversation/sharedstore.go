package conversation

import (
	"encoding/json"
	"fmt"
)

// sharedStore is a recordStore on a Store that several nodes share. It does not limit the bytes: the Store does.
type sharedStore struct {
	store     Store
	retention Retention
}

func newSharedStore(store Store, l storeLimits) *sharedStore {
	return &sharedStore{store, Retention{TTL: l.ttl, OfUser: l.ofUser}}
}

func (s *sharedStore) load(id string) (*Record, error) {
	stored, err := s.store.LoadConversation(id)
	if stored == nil || err != nil {
		return nil, err
	}
	r := &Record{version: stored.Version}
	if err := json.Unmarshal(stored.Data, r); err != nil {
		return nil, fmt.Errorf("the conversation %q cannot be read; nodes of different versions? %w", id, err)
	}
	return r, nil
}

func (s *sharedStore) latest(user string) (string, error) { return s.store.LatestConversation(user) }

func (s *sharedStore) save(r *Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	stored := StoredRecord{ID: r.ID, Owner: r.Owner, Version: r.version, Data: data}
	if err := s.store.SaveConversation(&stored, s.retention); err != nil {
		return err
	}
	r.version = stored.Version
	return nil
}

func (s *sharedStore) lock(id string) (unlock func(), err error) { return s.store.LockConversation(id) }

func (s *sharedStore) shared() bool { return true }
