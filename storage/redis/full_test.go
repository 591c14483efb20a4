package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// TestFullRedis fills the memory of Redis: it refuses new data as a whole, and accepts deletions. Nodes report it, go
// on, and recover by themselves when there is memory again.
func TestFullRedis(t *testing.T) {
	server := startRedis(t, "--maxmemory-policy", "noeviction")
	a, b := startNode(t, server), startNode(t, server)
	leave(t, a, "before")
	queue := readQueue(t, b)
	queue.until("before")
	const pieces = 6000 // takes as many milliseconds, which is longer than Redis is full
	there := watch(t, b.find(t, asked(t, a, pieces)), log.Position{})
	there.until(func() bool { return there.text != "" })

	server.Command("CONFIG", "SET", "maxmemory", "1000")
	_, err := a.Publish("t", "bob", []hub.EventInput{{Event: "refused", Payload: []byte(`{}`)}})
	if !errors.Is(err, errs.ErrUnavailable) || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("an event: %v", err)
	}
	hubtest.Until(t, "both nodes to tell that Redis is full", func() bool {
		return a.store.Err() != nil && b.store.Err() != nil && strings.Contains(a.store.Err().Error(), "maxmemory")
	})
	_, err = a.Enqueue("bob", []hub.MessageInput{{User: "ada", Event: "refused", Payload: []byte(`{}`)}})
	if !errors.Is(err, errs.ErrUnavailable) {
		t.Errorf("a message: %v", err)
	}
	if err := b.AckMessages("ada", queue.last); err != nil {
		t.Errorf("an acknowledgement, which makes room: %v", err)
	}
	if err := a.store.SaveRevocation(rights.Revocation{User: "eve", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Errorf("a revocation: %v", err)
	}
	for _, n := range []*node{a, b} { // no node is declared dead meanwhile
		n.beat(t, 2)
	}
	if !slices.Contains(a.store.Others(), b.store.Node()) || !b.store.Alive(a.store.Node()) {
		t.Error("a node was found dead because Redis was full")
	}

	server.Command("CONFIG", "SET", "maxmemory", "0")
	there.toEnd()
	if there.text != text(pieces) || len(there.resets) > 0 {
		t.Errorf("%d bytes of a completion, resets %v, want %d and none", len(there.text), there.resets,
			len(text(pieces)))
	}
	hubtest.Until(t, "both nodes to be well", func() bool { return a.store.Err() == nil && b.store.Err() == nil })
	leave(t, a, "after")
	queue.until("before", "after")
	late := readQueue(t, a)
	late.until("after")
}

// asked requests a completion of so many pieces, and returns its id.
func asked(t testing.TB, n *node, pieces int) string {
	t.Helper()
	s, _ := n.ask(t, fmt.Sprint(pieces), hub.StreamSpec{})
	return s.ID
}
