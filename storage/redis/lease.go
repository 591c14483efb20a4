package redis

import (
	"context"
	_ "embed"
	"maps"
	"time"

	"github.com/duckwire/duckwire/hub"
)

//go:embed lease.lua
var leaseLua string

var leaseScript = newScript(leaseLua)

// heartbeat renews this node's lease, and looks for others whose leases have run out, until the context ends. Then it
// gives the lease back. It closes joined after the first time.
func (n *nodes) heartbeat(ctx context.Context, events *hub.NodeEvents, joined chan<- struct{}) {
	tick := time.NewTicker(n.store.Lease / 4)
	defer tick.Stop()
	for first := true; ; first = false {
		dead, forgotten := n.beat()
		if first {
			close(joined)
		}
		if forgotten {
			n.store.resetOwn()
			events.Lost()
		}
		for _, node := range dead {
			n.removeDead(node, events.Died)
		}
		n.store.transfers.sweep(time.Now().Add(-2 * n.store.Timeout)) // nobody waits so long with the next piece
		select {
		case <-tick.C:
		case <-ctx.Done():
			me := n.store.Options.Node // what cannot be given back runs out
			_ = n.store.do(n.store.client.B().Del().Key(n.store.leaseKey(me)).Build())
			_ = n.store.do(n.store.client.B().Srem().Key(n.store.nodesKey()).Member(me).Build())
			return
		}
	}
}

// membership is what one look at Redis tells of the nodes.
type membership struct {
	alive    map[string]bool // all that have not been found dead, each with whether its lease holds
	servers  map[string]bool // of the servers of Redis that said so
	rejoined bool            // this node's lease was gone, or it was not among the nodes: it has come, was away, or is forgotten
}

// beat returns the nodes that are found dead, and whether Redis may have forgotten something of this one.
func (n *nodes) beat() (dead []string, forgotten bool) {
	sent := time.Now()
	c, err := n.store.renewLease()
	if err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err = unavailable(err)
		return nil, false
	}
	full := n.store.checkMemory()
	n.mu.Lock()
	defer n.mu.Unlock()
	first := n.lastBeat.IsZero()
	away := sent.Sub(n.lastBeat) > n.store.Lease/2
	forgotten = !first && (c.rejoined || n.newServer(c.servers))
	if first || away || forgotten { // others may have been away, or forgotten, as well: they have the time to come back
		n.noDeathsUntil = time.Now().Add(n.store.Lease + n.store.Lease/4)
	}
	n.lastBeat, n.alive, n.err = sent, c.alive, full
	maps.Copy(n.servers, c.servers)
	for name, lives := range c.alive {
		if lives {
			n.known[name] = true
		}
	}
	if time.Now().Before(n.noDeathsUntil) {
		return nil, forgotten
	}
	return n.newlyDead(), forgotten
}

// newServer reports whether a server has begun another life since the last beat. n.mu is held.
func (n *nodes) newServer(lives map[string]bool) bool {
	for life := range lives {
		if !n.servers[life] {
			return true
		}
	}
	return false
}

// LeaseValid implements hub.Nodes.
func (s *Store) LeaseValid() bool {
	s.nodes.mu.Lock()
	renewed := s.nodes.lastBeat
	s.nodes.mu.Unlock()
	return !renewed.IsZero() && leaseHolds(renewed, time.Now(), s.Lease)
}

// leaseHolds reports whether a lease that was asked for at one moment holds at another, by this node's clocks. Redis counts
// from when it was asked, which is later. A tenth of the lease is for clocks that do not run at the same speed, and for
// what is done between the look and the write. The steady clock of a machine may stand still while the machine sleeps,
// so the other clock is looked at as well.
func leaseHolds(asked, now time.Time, lease time.Duration) bool {
	steady, wall := now.Sub(asked), now.Round(0).Sub(asked.Round(0))
	return max(steady, wall) < lease-lease/10
}

// newlyDead returns the nodes that have died, or ended, since it was asked last. n.mu is held.
func (n *nodes) newlyDead() (dead []string) {
	for name, lives := range n.alive {
		if !lives {
			dead = append(dead, name)
		}
	}
	for name := range n.known {
		if _, known := n.alive[name]; !known { // it has ended, or another node was quicker to find it dead
			dead = append(dead, name)
		}
	}
	for _, name := range dead {
		delete(n.known, name)
	}
	return dead
}

// renewLease renews this node's lease, and looks at the others. What it does again and again is taken by a Redis that is
// full, too.
func (s *Store) renewLease() (c membership, err error) {
	me := s.Options.Node
	key, lease := s.leaseKey(me), s.Lease.Milliseconds()
	leased, err := s.do(s.client.B().Pexpire().Key(key).Milliseconds(lease).Build()).AsBool()
	if err == nil && !leased {
		err = s.do(s.client.B().Set().Key(key).Value("1").PxMilliseconds(lease).Build()).Error()
	}
	if err != nil {
		return c, err
	}
	if c, err = s.members(); err != nil {
		return c, err
	}
	if !c.alive[me] {
		c.alive[me], leased = true, false
		err = s.do(s.client.B().Sadd().Key(s.nodesKey()).Member(me).Build()).Error()
	}
	c.rejoined = !leased
	return c, err
}

// checkMemory says so where Redis takes nothing more because it is full.
func (s *Store) checkMemory() error {
	set := s.client.B().Set().Key(s.memoryKey()).Value("1").PxMilliseconds(s.Lease.Milliseconds()).Build()
	if err := s.do(set).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// removeDead tells of a dead node, and forgets it. What fails is done again at the next beat.
func (n *nodes) removeDead(node string, died func(node string, streams []string) bool) {
	s := n.store
	ids, err := s.do(s.client.B().Zrange().Key(s.ownKey(node)).Min("0").Max("-1").Build()).AsStrSlice()
	if err == nil && died(node, ids) {
		s.Logger.Info("another node is gone", "node", node, "streams", len(ids))
		err = s.do(s.client.B().Del().Key(s.ownKey(node)).Build()).Error() // what is left has an end of its own
		if err == nil {
			err = s.do(s.client.B().Srem().Key(s.nodesKey()).Member(node).Build()).Error()
		}
		if err == nil {
			return
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[node] = true // and so gone says again that it is dead, also where it is in the set no more
}

// Others implements hub.Nodes. It asks Redis: a node that has just come is among them. Where that cannot be asked, they
// are those of the last beat.
func (s *Store) Others() (others []string) {
	c, err := s.members()
	if err != nil {
		s.nodes.mu.Lock()
		c.alive = s.nodes.alive
		s.nodes.mu.Unlock()
	}
	for node, lives := range c.alive {
		if lives && node != s.Options.Node {
			others = append(others, node)
		}
	}
	return others
}

// members looks at all nodes.
func (s *Store) members() (c membership, err error) {
	names, err := s.do(s.client.B().Smembers().Key(s.nodesKey()).Build()).AsStrSlice()
	if err != nil {
		return c, err
	}
	c = membership{alive: make(map[string]bool, len(names)+1), servers: make(map[string]bool)}
	for _, key := range append(names, "") {
		there, life, err := s.lookUp(key)
		if err != nil {
			return c, err
		}
		c.servers[life] = true
		if key != "" {
			c.alive[key] = there
		}
	}
	return c, nil
}

// lookUp reports whether a node's lease is there, and which life of a server says so. Of the node "" that is the server
// that has the set of nodes.
func (s *Store) lookUp(node string) (there bool, life string, err error) {
	key := s.nodesKey()
	if node != "" {
		key = s.leaseKey(node)
	}
	out, err := s.run(leaseScript, []string{key}, nil).AsStrSlice()
	if err != nil {
		return false, "", err
	}
	if len(out) != 2 {
		return false, "", errAnswer
	}
	return out[0] == "1", out[1], nil
}

// Alive implements hub.Nodes.
func (s *Store) Alive(node string) bool {
	n := &s.nodes
	n.mu.Lock()
	alive, known := n.alive[node]
	blind := time.Now().Before(n.noDeathsUntil)
	n.mu.Unlock()
	if known && alive || blind {
		return true
	}
	there, life, err := s.lookUp(node)
	if err != nil || there {
		return true
	}
	me, err := s.do(s.client.B().Sismember().Key(s.nodesKey()).Member(s.Options.Node).Build()).AsBool()
	if err != nil || !me { // Redis has forgotten this node as well
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.servers[life] // a server that may have forgotten the node: the next beat finds out
}
