package hub_test

import (
	"context"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// emptyStreams are the shared streams of the nodes a and b, which have no streams.
type emptyStreams struct{ hub.SharedStreams }

func (emptyStreams) Save([]hub.StreamChange) error                       { return nil }
func (emptyStreams) Node() string                                        { return "a" }
func (emptyStreams) Alive(string) bool                                   { return true }
func (emptyStreams) LeaseValid() bool                                    { return true }
func (emptyStreams) Others() []string                                    { return nil }
func (emptyStreams) Serve(hub.NodeEvents) func()                         { return func() {} }
func (emptyStreams) Tell([]byte) error                                   { return nil }
func (emptyStreams) Ask(context.Context, string, []byte) ([]byte, error) { return nil, nil }

// spokenPresences is a PresenceStore whose changes the test announces.
type spokenPresences struct {
	hub.PresenceStore
	heard chan func([]hub.SharedPresence)
	saved chan []hub.SharedPresence
}

func (s spokenPresences) FollowPresences(_ string, heard func([]hub.SharedPresence), gap func()) func() {
	gap()
	s.heard <- heard
	return func() {}
}

func (s spokenPresences) Presences(string) ([]hub.SharedPresence, error) { return nil, nil }

func (s spokenPresences) SavePresences(_ string, metas []hub.SharedPresence) error {
	s.saved <- metas
	return nil
}

// When the last client of a table returns on another node and the table has no readers here, the table is dropped, and
// the announcement that caused it does not block.
func TestLastPresenceGoesToAnotherNode(t *testing.T) {
	s := spokenPresences{heard: make(chan func([]hub.SharedPresence), 2), saved: make(chan []hub.SharedPresence, 10)}
	h := newHub(t, hub.Options{Streams: emptyStreams{}, Presences: s})
	if _, err := h.Track("t:1", "ada", "tab", nil); err != nil {
		t.Fatal(err)
	}
	meta := hubtest.Recv(t, "what is saved", s.saved)[0]
	heard := hubtest.Recv(t, "the following", s.heard)
	meta.Node, meta.Generation = "b", meta.Generation+1
	told := make(chan struct{}, 1)
	go func() {
		heard([]hub.SharedPresence{meta})
		told <- struct{}{}
	}()
	hubtest.Recv(t, "whoever tells of it to go on", told)
	if _, err := h.Track("t:1", "bob", "", nil); err != nil { // in a table of its own
		t.Fatal(err)
	}
}
