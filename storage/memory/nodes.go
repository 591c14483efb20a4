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
	nodesKey   = "nodes" // the names of all that have not been found dead
	allChannel = "nodes"
)

func leaseKey(node string) string     { return "lease " + node }
func callsChannel(node string) string { return "calls " + node }

// call is what nodes tell each other: a request, or the answer to one.
type call struct {
	id     string // "": no answer is waited for
	from   string
	body   []byte
	answer bool
}

// nodes is this node among the others.
type nodes struct {
	node *Node

	mu      sync.Mutex
	waiting map[string]chan []byte // for answers, by call
	calls   int
	alive   map[string]bool // as of the last beat
	seen    map[string]bool // taken for alive once, and not told dead yet
	beaten  time.Time       // when the last beat that succeeded began
	valid   time.Time       // the same, once this node has done what follows from that beat
	life    int             // of the data, as of the last beat
	blind   time.Time       // until then nobody is found dead: others may have been kept from beating as this node was
}

// Node implements hub.Nodes.
func (n *Node) Node() string { return n.name }

// Ask implements hub.Nodes.
func (n *Node) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	s := &n.nodes
	answered := make(chan []byte, 1)
	s.mu.Lock()
	s.calls++
	id := strconv.Itoa(s.calls)
	s.waiting[id] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	heard, err := n.send(callsChannel(node), call{id: id, from: n.name, body: request})
	if err != nil {
		return nil, err
	}
	if heard == 0 {
		return nil, fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	look := time.NewTicker(n.cluster.o.Lease / 4)
	defer look.Stop()
	for {
		select {
		case answer := <-answered:
			return answer, nil
		case <-look.C:
			if n.Alive(node) {
				continue
			}
		case <-ctx.Done():
		case <-n.closed:
		}
		return nil, fmt.Errorf("node %s does not answer: %w", node, errs.ErrUnavailable)
	}
}

// send publishes a call, and returns how many nodes it was sent to.
func (n *Node) send(channel string, c call) (heard int, err error) {
	err = n.do("publish", func(*keyspace) { heard = n.cluster.publish(channel, c, true) })
	return heard, err
}

// Tell implements hub.Nodes.
func (n *Node) Tell(request []byte) error {
	_, err := n.send(allChannel, call{from: n.name, body: request})
	return err
}

// Others implements hub.Nodes. A node that has just come is among them. Where the store cannot be asked, they are those
// of the last beat.
func (n *Node) Others() (others []string) {
	alive, err := n.living()
	if err != nil {
		n.nodes.mu.Lock()
		alive = n.nodes.alive
		n.nodes.mu.Unlock()
	}
	for node, lives := range alive {
		if lives && node != n.name {
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

// watch has the hub told of a node's death that it takes for alive, also where others have found it dead long ago.
func (s *nodes) watch(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[node] = true
}

func (n *Node) looksAlive(node string) bool {
	s := &n.nodes
	s.mu.Lock()
	alive, known := s.alive[node]
	lease := n.cluster.o.Lease
	blind := time.Now().Before(s.blind) || time.Since(s.beaten) > lease/2 // it will be so at the next beat
	s.mu.Unlock()
	if known && alive || blind {
		return true
	}
	var lives bool
	err := n.do("lease", func(k *keyspace) { _, lives = load[bool](k, leaseKey(node)) })
	return err != nil || lives // one that cannot be asked about lives
}

// LeaseValid implements hub.Nodes.
func (n *Node) LeaseValid() bool {
	n.nodes.mu.Lock()
	defer n.nodes.mu.Unlock()
	return time.Since(n.nodes.valid) < n.cluster.o.Lease
}

// living returns the nodes that have not been found dead, each with whether its lease holds.
func (n *Node) living() (alive map[string]bool, err error) {
	err = n.do("nodes", func(k *keyspace) { alive = livingOf(k) })
	return alive, err
}

func livingOf(k *keyspace) map[string]bool {
	names, _ := load[map[string]bool](k, nodesKey)
	alive := make(map[string]bool, len(names))
	for name := range names {
		_, alive[name] = load[bool](k, leaseKey(name))
	}
	return alive
}

// beatOn renews this node's lease, and looks for others whose leases have run out, until ctx ends. Then it gives the
// lease back. It closes joined after the first time.
func (s *nodes) beatOn(ctx context.Context, events *hub.NodeEvents, joined chan<- struct{}) {
	n := s.node
	tick := time.NewTicker(n.cluster.o.Lease / 4)
	defer tick.Stop()
	for first := true; ; first = false {
		dead, been := s.beat()
		if been.forgotten || been.back {
			n.locked(func() { clear(n.own) })
		}
		if been.forgotten || been.back || been.lapsed { // it may lack what was saved, or others may have taken it
			events.Lost()
		}
		if been.lapsed { // the others did not tell this node anything meanwhile
			events.Missed()
		}
		s.mu.Lock()
		s.valid = s.beaten
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
			_ = n.do("leave", func(k *keyspace) { // what cannot be given back runs out
				k.del(leaseKey(n.name))
				withoutNode(k, n.name)
			})
			return
		}
	}
}

// change is what has become of this node, or of the store, since the beat before.
type change struct {
	forgotten bool // the store does not know this node any more
	back      bool // the data may have gone back
	lapsed    bool // this node's lease had run out
}

// beat returns the nodes that are found dead, and what has changed.
func (s *nodes) beat() (dead []string, been change) {
	n, began := s.node, time.Now()
	var alive map[string]bool
	added, life := false, 0
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
		alive, life = livingOf(k), k.life
	})
	if err != nil {
		return nil, been
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := n.cluster.o.Lease
	if !s.beaten.IsZero() {
		been = change{forgotten: added, back: life != s.life, lapsed: began.Sub(s.beaten) >= lease}
	}
	if began.Sub(s.beaten) > lease/2 || been.forgotten { // the others may have been away as well
		s.blind = time.Now().Add(lease + lease/4)
	}
	s.beaten, s.alive, s.life = began, alive, life
	for name, lives := range alive {
		if lives {
			s.seen[name] = true
		}
	}
	if time.Now().Before(s.blind) {
		return nil, been
	}
	return s.gone(), been
}

// gone returns the nodes that have died, or ended, since it was asked last. s.mu is held.
func (s *nodes) gone() (dead []string) {
	for name, lives := range s.alive {
		if !lives {
			dead = append(dead, name)
		}
	}
	for name := range s.seen {
		if _, known := s.alive[name]; !known { // it has ended, or another node was quicker to find it dead
			dead = append(dead, name)
		}
	}
	for _, name := range dead {
		delete(s.seen, name)
	}
	return dead
}

// removeDead tells of a dead node, and forgets it.
func (s *nodes) removeDead(node string, died func(node string, streams []string) bool) {
	n := s.node
	var ids []string
	if n.do("streams of the dead", func(k *keyspace) { ids, _ = load[[]string](k, ownKey(node)) }) != nil {
		s.watch(node) // it is found again at the next beat
		return
	}
	if !died(node, ids) {
		s.watch(node)
		return
	}
	_ = n.do("forget the dead", func(k *keyspace) {
		k.del(ownKey(node)) // what is left has an end of its own
		withoutNode(k, node)
	})
}

func withoutNode(k *keyspace, node string) {
	names, _ := load[map[string]bool](k, nodesKey)
	names = maps.Clone(names)
	delete(names, node)
	k.set(nodesKey, names, 0)
}
