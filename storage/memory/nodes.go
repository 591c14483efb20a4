package memory

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Keys and channels of nodes.
const (
	nodesKey   = "nodes" // the set of nodes: the names of all that were not found dead
	allChannel = "nodes"
)

func leaseKey(node string) string     { return "lease " + node }
func callsChannel(node string) string { return "calls " + node }

// call is a message between nodes: a request, or the answer to one.
type call struct {
	id     string // "": a request without an answer
	from   string
	body   []byte
	answer bool
}

// nodes has what a node knows of the other nodes.
type nodes struct {
	node *Node

	mu            sync.Mutex
	waiting       map[string]chan []byte // for answers, by call
	calls         int
	alive         map[string]bool // the set of nodes as of the last heartbeat, and whether each one's lease is valid
	watched       map[string]bool // nodes that were alive, and whose death was not reported yet
	lastHeartbeat time.Time       // when the last successful heartbeat began
	leaseFrom     time.Time       // the same, set when this node has processed the result of that heartbeat
	incarnation   int             // of the store, as of the last heartbeat
	graceUntil    time.Time       // no node is found dead before: whatever delayed this node may have delayed others
}

// Node implements hub.Nodes.
func (n *Node) Node() string { return n.name }

// Ask implements hub.Nodes.
func (n *Node) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	if !n.looksAlive(node) {
		return nil, fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	s := &n.nodes
	answers := make(chan []byte, 1)
	s.mu.Lock()
	s.calls++
	id := strconv.Itoa(s.calls)
	s.waiting[id] = answers
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	receivers, err := n.publishCall(callsChannel(node), call{id: id, from: n.name, body: request})
	if err != nil {
		return nil, err
	}
	if receivers == 0 {
		return nil, fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	tick := time.NewTicker(n.cluster.o.Lease / 4)
	defer tick.Stop()
	for {
		select {
		case answer := <-answers:
			return answer, nil
		case <-tick.C:
			if n.looksAlive(node) {
				continue
			}
		case <-ctx.Done():
		case <-n.closed:
		}
		return nil, fmt.Errorf("node %s does not answer: %w", node, errs.ErrUnavailable)
	}
}

// publishCall publishes a call, and returns how many nodes it was sent to.
func (n *Node) publishCall(channel string, c call) (receivers int, err error) {
	err = n.do("publish", func(*keyspace) { receivers = n.cluster.publish(channel, c, true) })
	return receivers, err
}

// Tell implements hub.Nodes.
func (n *Node) Tell(request []byte) error {
	_, err := n.publishCall(allChannel, call{from: n.name, body: request})
	return err
}

// Others implements hub.Nodes. It includes nodes that have only just joined. If the store cannot be reached, it returns
// the nodes of the last heartbeat.
func (n *Node) Others() (others []string) {
	alive, err := n.loadNodes()
	if err != nil {
		n.nodes.mu.Lock()
		alive = n.nodes.alive
		n.nodes.mu.Unlock()
	}
	for node, valid := range alive {
		if valid && node != n.name {
			others = append(others, node)
		}
	}
	return others
}

// Alive implements hub.Nodes.
func (n *Node) Alive(node string) bool {
	alive := n.looksAlive(node)
	if alive {
		n.nodes.watch(node)
	}
	return alive
}

// watch makes sure that the death of a node is reported to the hub, which believes that it is alive, even if other
// nodes found it dead long ago.
func (s *nodes) watch(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched[node] = true
}

func (n *Node) looksAlive(node string) bool {
	s := &n.nodes
	s.mu.Lock()
	alive := s.alive[node]
	// After a late heartbeat there will be a grace period, so a node that is due for one counts as being in it.
	inGrace := time.Now().Before(s.graceUntil) || time.Since(s.lastHeartbeat) > n.cluster.o.Lease/2
	s.mu.Unlock()
	if alive || inGrace {
		return true
	}
	var valid bool
	err := n.do("lease", func(k *keyspace) { _, valid = load[bool](k, leaseKey(node)) })
	return err != nil || valid // without an answer, the node counts as alive
}

// LeaseValid implements hub.Nodes.
func (n *Node) LeaseValid() bool {
	n.nodes.mu.Lock()
	defer n.nodes.mu.Unlock()
	return time.Since(n.nodes.leaseFrom) < n.cluster.o.Lease
}

// loadNodes returns the set of nodes, and whether each one's lease is valid.
func (n *Node) loadNodes() (alive map[string]bool, err error) {
	err = n.do("nodes", func(k *keyspace) { alive = nodesOf(k) })
	return alive, err
}

func nodesOf(k *keyspace) map[string]bool {
	names, _ := load[map[string]bool](k, nodesKey)
	alive := make(map[string]bool, len(names))
	for name := range names {
		_, alive[name] = load[bool](k, leaseKey(name))
	}
	return alive
}

// heartbeats renews this node's lease and looks for nodes whose leases have expired, until ctx ends. Then it releases
// the lease. It closes joined after the first heartbeat.
func (s *nodes) heartbeats(ctx context.Context, events *hub.NodeEvents, joined chan<- struct{}) {
	n := s.node
	tick := time.NewTicker(n.cluster.o.Lease / 4)
	defer tick.Stop()
	for first := true; ; first = false {
		dead, change := s.heartbeat()
		if change.removed || change.restarted {
			n.locked(func() { clear(n.own) })
		}
		if change.removed || change.restarted || change.expired {
			events.Lost() // the store may have lost what this node saved, or other nodes may have claimed it
		}
		if change.expired {
			events.Missed() // the other nodes sent this node nothing meanwhile
		}
		s.mu.Lock()
		s.leaseFrom = s.lastHeartbeat
		s.mu.Unlock()
		if first {
			close(joined)
		}
		for _, node := range dead {
			s.removeDead(node, events.Died)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = n.do("leave", func(k *keyspace) { // if this fails, the lease expires
				k.del(leaseKey(n.name))
				removeNode(k, n.name)
			})
			return
		}
	}
}

// stateChange is what has happened to this node or the store since the last heartbeat.
type stateChange struct {
	removed   bool // this node was no longer in the set of nodes
	restarted bool // the store has restarted, so it may have lost writes
	expired   bool // this node's lease had expired
}

// heartbeat renews the lease. It returns the nodes that it found dead, and what has changed.
func (s *nodes) heartbeat() (dead []string, change stateChange) {
	n, began := s.node, time.Now()
	var alive map[string]bool
	added, incarnation := false, 0
	err := n.do("beat", func(k *keyspace) {
		k.set(leaseKey(n.name), true, n.cluster.o.Lease)
		names, _ := load[map[string]bool](k, nodesKey)
		if added = !names[n.name]; added {
			names = maps.Clone(names)
			if names == nil {
				names = make(map[string]bool)
			}
			names[n.name] = true
			k.set(nodesKey, names, 0)
		}
		alive, incarnation = nodesOf(k), k.incarnation
	})
	if err != nil {
		return nil, change
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := n.cluster.o.Lease
	if !s.lastHeartbeat.IsZero() {
		change = stateChange{
			removed: added, restarted: incarnation != s.incarnation, expired: began.Sub(s.lastHeartbeat) >= lease,
		}
	}
	if began.Sub(s.lastHeartbeat) > lease/2 || change.removed { // the other nodes may have been disconnected as well
		s.graceUntil = time.Now().Add(lease + lease/4)
	}
	s.lastHeartbeat, s.alive, s.incarnation = began, alive, incarnation
	for name, valid := range alive {
		if valid {
			s.watched[name] = true
		}
	}
	if time.Now().Before(s.graceUntil) {
		return nil, change
	}
	return s.newlyDead(), change
}

// newlyDead returns the nodes that have died or left since its last call. The caller holds s.mu.
func (s *nodes) newlyDead() (dead []string) {
	for name, valid := range s.alive {
		if !valid {
			dead = append(dead, name)
		}
	}
	for name := range s.watched {
		if _, listed := s.alive[name]; !listed { // it has left, or another node found it dead first
			dead = append(dead, name)
		}
	}
	for _, name := range dead {
		delete(s.watched, name)
	}
	return dead
}

// removeDead reports a dead node to the hub, and then removes it from the store.
func (s *nodes) removeDead(node string, died func(node string, streams []string) bool) {
	n := s.node
	var ids []string
	if n.do("streams of the dead", func(k *keyspace) { ids, _ = load[[]string](k, ownKey(node)) }) != nil {
		s.watch(node) // the next heartbeat reports it again
		return
	}
	if !died(node, ids) {
		s.watch(node)
		return
	}
	_ = n.do("forget the dead", func(k *keyspace) {
		k.del(ownKey(node)) // the streams that are left expire
		removeNode(k, node)
	})
}

func removeNode(k *keyspace, node string) {
	names, _ := load[map[string]bool](k, nodesKey)
	names = maps.Clone(names)
	delete(names, node)
	k.set(nodesKey, names, 0)
}
