// Package clustertest has nodes in one process: what they share is in memory, and each can be cut off, and its lease run out.
package clustertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Cluster is what several nodes share. The zero value is ready.
type Cluster struct {
	mu        sync.Mutex
	nodes     map[string]*Node
	streams   map[string]hub.SharedStream
	followers map[int]follower
	followed  int
}

type follower struct {
	id  string
	gap func()
}

// Node is one node's hand on a Cluster: a hub.SharedStreams but for lists of streams.
type Node struct {
	hub.SharedStreams // what is not here, tests do not need
	cluster           *Cluster
	name              string
	cut               bool // it reaches nothing
	lapsed            bool // its lease cannot be shown to hold
	events            hub.NodeEvents
}

// Node returns a node of that name, whose lease holds.
func (c *Cluster) Node(name string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes == nil {
		c.nodes, c.streams, c.followers = make(map[string]*Node), make(map[string]hub.SharedStream), make(map[int]follower)
	}
	n := &Node{cluster: c, name: name}
	c.nodes[name] = n
	return n
}

// Set cuts a node off, or lets it come back, and says whether its lease can be shown to hold. Nobody is told.
func (n *Node) Set(cut, lapsed bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.cut, n.lapsed = cut, lapsed
}

// Return lets a node come back whose lease had run out: it brings everything again.
func (n *Node) Return() {
	n.Set(false, false)
	n.events.Lost()
}

// Bury tells a node that another has died.
func (n *Node) Bury(other string) bool {
	n.cluster.mu.Lock()
	var ids []string
	for id, s := range n.cluster.streams {
		if s.Node == other {
			ids = append(ids, id)
		}
	}
	n.cluster.mu.Unlock()
	return n.events.Died(other, ids)
}

// locked runs f under the cluster's lock, where the node reaches it.
func (n *Node) locked(f func(c *Cluster) error) error {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.cut {
		return fmt.Errorf("node %s is cut off: %w", n.name, errs.ErrUnavailable)
	}
	return f(c)
}

// Save implements hub.StreamStore.
func (n *Node) Save(changes []hub.StreamChange) error {
	failed := &hub.SaveError{}
	var gaps []func()
	err := n.locked(func(c *Cluster) error {
		for _, rec := range changes {
			had := c.streams[rec.ID]
			if had.Node != "" && had.Node != n.name {
				failed.Taken = append(failed.Taken, rec.ID)
				continue
			}
			runs := slices.Clone(rec.Runs)
			for i := range runs {
				runs[i].Text = slices.Clone(runs[i].Text)
			}
			rec.Runs = append(slices.Clone(had.Record.Runs), runs...)
			c.streams[rec.ID] = hub.SharedStream{Node: n.name, Record: rec}
			gaps = append(gaps, c.gaps(rec.ID)...)
		}
		return nil
	})
	for _, gap := range gaps {
		gap()
	}
	if err == nil && len(failed.Taken) > 0 {
		return failed
	}
	return err
}

// gaps are what is to be called when a stream has changed. c.mu is held.
func (c *Cluster) gaps(id string) (gaps []func()) {
	for _, f := range c.followers {
		if f.id == id {
			gaps = append(gaps, f.gap)
		}
	}
	return gaps
}

// Load implements hub.StreamStore: nodes begin without streams.
func (n *Node) Load(func(*hub.StreamRecord) error) error { return nil }

// Delete implements hub.StreamStore.
func (n *Node) Delete(ids []string) error {
	return n.locked(func(c *Cluster) error {
		for _, id := range ids {
			delete(c.streams, id)
		}
		return nil
	})
}

// AddStream implements hub.SharedStreams, without aliases and slots.
func (n *Node) AddStream(rec *hub.StreamRecord, _ string) (taken, superseded string, err error) {
	err = n.locked(func(c *Cluster) error {
		if _, there := c.streams[rec.ID]; there {
			taken = rec.ID
			return nil
		}
		c.streams[rec.ID] = hub.SharedStream{Node: n.name, Record: *rec}
		return nil
	})
	return taken, "", err
}

// FindStream implements hub.SharedStreams.
func (n *Node) FindStream(_, id string) (found *hub.SharedStream, err error) {
	err = n.locked(func(c *Cluster) error {
		s, there := c.streams[id]
		if !there {
			return errs.ErrNotFound
		}
		found = &s
		return nil
	})
	return found, err
}

// FollowStream implements hub.SharedStreams: whatever changes, all of it is to be read again.
func (n *Node) FollowStream(id string, _ func(*hub.SharedStream), gap func()) (stop func()) {
	c := n.cluster
	c.mu.Lock()
	key := c.followed
	c.followed++
	c.followers[key] = follower{id, gap}
	c.mu.Unlock()
	gap()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.followers, key)
	}
}

// ClaimStream implements hub.SharedStreams.
func (n *Node) ClaimStream(id, from string) (claimed *hub.SharedStream, err error) {
	err = n.locked(func(c *Cluster) error {
		s, there := c.streams[id]
		if !there {
			return errs.ErrNotFound
		}
		if s.Node == from {
			s.Node = n.name
			c.streams[id] = s
		}
		claimed = &s
		return nil
	})
	return claimed, err
}

// Node implements hub.Nodes.
func (n *Node) Node() string { return n.name }

// LeaseValid implements hub.Nodes.
func (n *Node) LeaseValid() bool {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return !n.lapsed
}

// Alive implements hub.Nodes: who is cut off and has no lease is dead, for those who are not.
func (n *Node) Alive(node string) bool {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	other := n.cluster.nodes[node]
	return other != nil && (n.cut || !other.cut || !other.lapsed)
}

// Others implements hub.Nodes.
func (n *Node) Others() (others []string) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(n.cluster.nodes)) {
		if name != n.name && !n.cut && !n.cluster.nodes[name].cut {
			others = append(others, name)
		}
	}
	return others
}

// Ask implements hub.Nodes.
func (n *Node) Ask(_ context.Context, node string, request []byte) ([]byte, error) {
	var answer func(string, []byte) []byte
	if err := n.locked(func(c *Cluster) error {
		other := c.nodes[node]
		if other == nil || other.cut || other.events.Answer == nil {
			return fmt.Errorf("node %s does not answer: %w", node, errs.ErrUnavailable)
		}
		answer = other.events.Answer
		return nil
	}); err != nil {
		return nil, err
	}
	return answer(n.name, request), nil
}

// Tell implements hub.Nodes. It asks the others, one after the other.
func (n *Node) Tell(request []byte) error {
	for _, node := range n.Others() {
		_, _ = n.Ask(context.Background(), node, request) // it may be lost
	}
	return nil
}

// Serve implements hub.Nodes.
func (n *Node) Serve(events hub.NodeEvents) (stop func()) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.events = events
	return func() {
		n.cluster.mu.Lock()
		defer n.cluster.mu.Unlock()
		n.events, n.cut = hub.NodeEvents{}, true
	}
}
