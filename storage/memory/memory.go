// Package memory implements the hub's stores in memory. Their data survives a hub, so that tests can restart it, but
// not the process. They are also the simplest example of what a store must do. Store, Topics, Queue and Revocations are
// for one process; a Cluster is for several nodes, with a simulated network that tests can break.
package memory

import (
	"slices"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// Store is a hub.StreamStore. The zero value is empty and ready for use. It is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	streams map[string]*hub.StreamRecord
	order   []string
}

// Save implements hub.StreamStore.
func (s *Store) Save(changes []hub.StreamChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = make(map[string]*hub.StreamRecord)
	}
	for _, c := range changes {
		runs := slices.Clone(c.Runs)
		for i := range runs {
			runs[i].Text = slices.Clone(runs[i].Text)
		}
		if old := s.streams[c.ID]; old != nil {
			runs = append(old.Runs, runs...)
		} else {
			s.order = append(s.order, c.ID)
		}
		c.Runs = runs
		s.streams[c.ID] = &c
	}
	return nil
}

// Load implements hub.StreamStore.
func (s *Store) Load(f func(*hub.StreamRecord) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		rec := *s.streams[id]
		if err := f(&rec); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements hub.StreamStore.
func (s *Store) Delete(ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.streams, id)
		s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
	}
	return nil
}

// Clone returns a copy of the store, for tests that resume from the state at this moment.
func (s *Store) Clone() *Store {
	c := &Store{}
	_ = s.Load(func(rec *hub.StreamRecord) error { return c.Save([]hub.StreamChange{*rec}) }) // memory does not fail
	return c
}
