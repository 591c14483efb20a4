package clustertest

import (
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// cluster is a set of nodes on a perfect network, for directed tests. Call newCluster in a synctest bubble.
type cluster struct {
	t      *testing.T
	shared *memory.Cluster
	hubs   map[string]*hub.Hub
	stores map[string]*memory.Node
	made   provider

	mu    sync.Mutex
	fates map[string]memory.Fate // by node and command
	given map[string]time.Time   // by node and command: its first use since set
}

func newCluster(t *testing.T, names ...string) *cluster {
	c := &cluster{
		t: t, hubs: make(map[string]*hub.Hub), stores: make(map[string]*memory.Node), fates: make(map[string]memory.Fate),
		given: make(map[string]time.Time),
	}
	c.made.pace = time.Hour
	c.shared = memory.NewCluster(memory.ClusterOptions{Lease: nodeLease, Command: func(node, command string) memory.Fate {
		c.mu.Lock()
		defer c.mu.Unlock()
		key := node + " " + command
		if c.given[key].IsZero() {
			c.given[key] = time.Now()
		}
		return c.fates[key]
	}})
	t.Cleanup(func() {
		for name := range c.hubs {
			c.end(name)
		}
	})
	for _, name := range names {
		c.start(name)
	}
	return c
}

// start starts a node.
func (c *cluster) start(name string) *hub.Hub {
	n := c.shared.Node(name)
	h := hub.New(hub.Options{Streams: n, Topics: n, Presences: n, Queue: n, Provider: &c.made, Logger: quiet})
	c.hubs[name], c.stores[name] = h, n
	return h
}

// set sets the fate of a node's later commands of one kind.
func (c *cluster) set(node, command string, f memory.Fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fates[node+" "+command] = f
	delete(c.given, node+" "+command)
}

// givenAt returns when a node first issued a command after set was called for it.
func (c *cluster) givenAt(node, command string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given[node+" "+command]
}

// die ends a node without a shutdown.
func (c *cluster) die(name string) {
	c.stores[name].Cut()
	c.end(name)
}

func (c *cluster) end(name string) {
	c.hubs[name].Close()
	c.stores[name].Close()
	delete(c.hubs, name)
}

// stream creates a stream of the user ada.
func (c *cluster) stream(node, id string) *hub.Stream {
	c.t.Helper()
	s, _, err := c.hubs[node].CreateStream(hub.StreamSpec{ID: id, Owner: "ada"})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// send appends text in one request.
func (c *cluster) send(s *hub.Stream, ref hub.ProducerRef, text string, end *hub.Ending) {
	c.t.Helper()
	a, err := s.AppendWhole(ref)
	if err == nil {
		err = a.Add([]hub.Part{{Text: text}})
	}
	if err == nil {
		_, err = a.End(end)
	}
	if err != nil {
		c.t.Fatalf("%q: %v", text, err)
	}
}

// wants checks a node's copy of a stream of ada's.
func (c *cluster) wants(node, id string, status hub.Status, text string) {
	c.t.Helper()
	s, err := c.hubs[node].Stream("ada", id)
	if err != nil {
		c.t.Errorf("%s on %s: %v", id, node, err)
		return
	}
	if st := s.State(); st.Status != status || string(st.Text) != text {
		c.t.Errorf("%s is %s with %q on %s, expected %s with %q", id, st.Status, st.Text, node, status, text)
	}
}
