package hub_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/memory"
)

// The last client of a table comes back on another node, and nobody looks at the table here: it is dropped, and whoever
// has told of it goes on.
func TestLastPresenceGoesToAnotherNode(t *testing.T) {
	c := memory.NewCluster(memory.ClusterOptions{})
	a, b := c.Node("a"), c.Node("b")
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	heard := func(n *memory.Node, topic string) <-chan []hub.SharedPresence {
		told := make(chan []hub.SharedPresence, 10)
		t.Cleanup(n.FollowPresences(topic, func(metas []hub.SharedPresence) { told <- metas }, func() {}))
		return told
	}
	saved, next := heard(b, "t:1"), heard(a, "t:2")
	h := newHub(t, hub.Options{Streams: a, Presences: a})
	if _, err := h.Track("t:1", "ada", "tab", nil); err != nil {
		t.Fatal(err)
	}
	meta := hubtest.Recv(t, "what is saved", saved)[0]
	meta.Node, meta.Generation = "b", meta.Generation+1
	for _, topic := range []string{"t:1", "t:2"} {
		if err := b.SavePresences(topic, []hub.SharedPresence{meta}); err != nil {
			t.Fatal(err)
		}
	}
	hubtest.Recv(t, "what is told after it", next)
	if _, err := h.Track("t:1", "bob", "", nil); err != nil { // in a table of its own
		t.Fatal(err)
	}
}
