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

// heartbeat renews this node's lease, and looks for nodes whose leases have expired, until ctx ends. Then it releases
// the lease. It closes joined after the first beat.
func (n *nodes) heartbeat(ctx context.Context, events *hub.NodeEvents, joined chan<- struct{}) {
	tick := time.NewTicker(n.store.Lease / 4)
	defer tick.Stop()
	for first := true; ; first = false {
		dead, lost := n.beat()
		if lost {
			n.store.resetOwn()
			events.Lost()
		}
		n.confirm()
		if first {
			close(joined)
		}
		if lost { // the other nodes did not see this one, and sent it nothing meanwhile
			events.Missed()
		}
		for _, node := range dead {
			n.removeDead(node, events.Died)
		}
		n.store.transfers.sweep(time.Now().Add(-2 * n.store.Timeout)) // a sender gives up after Timeout
		select {
		case <-tick.C:
		case <-ctx.Done():
			me := n.store.Options.Node // if this fails, the lease expires
			_ = n.store.do(n.store.client.B().Del().Key(n.store.leaseKey(me)).Build())
			_ = n.store.do(n.store.client.B().Srem().Key(n.store.nodesKey()).Member(me).Build())
			return
		}
	}
}

// membership is the state of the nodes in Redis at one moment.
type membership struct {
	alive   map[string]bool // nodes that have not been declared dead, and whether each one's lease exists
	servers map[string]bool // replication ids of the Redis servers that answered
	// this node had no lease or was not in the set: it has just started, its lease expired, or Redis lost its data
	rejoined bool
}

// beat renews the lease once. It returns the nodes that have died, and whether Redis may have lost data of this node.
func (n *nodes) beat() (dead []string, lost bool) {
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
	late := sent.Sub(n.lastBeat) > n.store.Lease/2
	lost = !first && (c.rejoined || n.newServer(c.servers))
	if first || late || lost { // others may have been unable to beat as well: give them time to return
		n.noDeathsUntil = time.Now().Add(n.store.Lease + n.store.Lease/4)
	}
	n.lastBeat, n.alive, n.err = sent, c.alive, full
	maps.Copy(n.servers, c.servers)
	for name, leased := range c.alive {
		if leased {
			n.watched[name] = true
		}
	}
	if time.Now().Before(n.noDeathsUntil) {
		return nil, lost
	}
	return n.newlyDead(), lost
}

// confirm lets LeaseValid see the last beat, once the hub knows whether this node may have lost streams.
func (n *nodes) confirm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.confirmed = n.lastBeat
}

// newServer reports whether an answer came from a Redis server that was not there at an earlier beat: it was
// restarted, or another one became the master. The caller holds n.mu.
func (n *nodes) newServer(replids map[string]bool) bool {
	for replid := range replids {
		if !n.servers[replid] {
			return true
		}
	}
	return false
}

// LeaseValid implements hub.Nodes.
func (s *Store) LeaseValid() bool {
	s.nodes.mu.Lock()
	beat := s.nodes.confirmed
	s.nodes.mu.Unlock()
	return !beat.IsZero() && leaseHolds(beat, time.Now(), s.Lease)
}

// leaseHolds reports whether a lease that was requested at one moment is still valid at another, by this node's
// clocks. The lease begins when Redis processes the request, which is later. A tenth of the lease is reserved for
// clocks that run at different speeds, and for the time between the check and a write. The monotonic clock may stop
// while the machine sleeps, so the wall clock is compared as well.
func leaseHolds(requested, now time.Time, lease time.Duration) bool {
	monotonic, wall := now.Sub(requested), now.Round(0).Sub(requested.Round(0))
	return max(monotonic, wall) < lease-lease/10
}

// newlyDead returns the nodes that have died, or ended, since the last call. The caller holds n.mu.
func (n *nodes) newlyDead() (dead []string) {
	for name, leased := range n.alive {
		if !leased {
			dead = append(dead, name)
		}
	}
	for name := range n.watched {
		if _, listed := n.alive[name]; !listed { // it ended, or another node declared it dead first
			dead = append(dead, name)
		}
	}
	for _, name := range dead {
		delete(n.watched, name)
	}
	return dead
}

// renewLease renews this node's lease, and reads the membership. The commands that it usually needs work also when
// Redis has no memory left.
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

// checkMemory returns an error if Redis refuses writes, because its memory is full.
func (s *Store) checkMemory() error {
	set := s.client.B().Set().Key(s.memoryKey()).Value("1").PxMilliseconds(s.Lease.Milliseconds()).Build()
	if err := s.do(set).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// removeDead reports a dead node to the hub, and deletes the node from Redis. If a step fails, the next beat tries
// again.
func (n *nodes) removeDead(node string, died func(node string, streams []string) bool) {
	s := n.store
	ids, err := s.do(s.client.B().Zrange().Key(s.ownKey(node)).Min("0").Max("-1").Build()).AsStrSlice()
	if err == nil && died(node, ids) {
		s.Logger.Info("another node has died or left", "node", node, "streams", len(ids))
		err = s.do(s.client.B().Del().Key(s.ownKey(node)).Build()).Error() // other keys of the node expire
		if err == nil {
			err = s.do(s.client.B().Srem().Key(s.nodesKey()).Member(node).Build()).Error()
		}
		if err == nil {
			return
		}
	}
	n.watch(node)
}

// watch makes newlyDead report a node that the hub believes to be alive, even if another node declared it dead long
// ago.
func (n *nodes) watch(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watched[node] = true
}

// Others implements hub.Nodes. It asks Redis, so that it includes nodes that have just started. If Redis cannot be
// asked, it returns the nodes of the last beat.
func (s *Store) Others() (others []string) {
	c, err := s.members()
	if err != nil {
		s.nodes.mu.Lock()
		c.alive = s.nodes.alive
		s.nodes.mu.Unlock()
	}
	for node, leased := range c.alive {
		if leased && node != s.Options.Node {
			others = append(others, node)
		}
	}
	return others
}

// members reads the state of all nodes.
func (s *Store) members() (c membership, err error) {
	names, err := s.do(s.client.B().Smembers().Key(s.nodesKey()).Build()).AsStrSlice()
	if err != nil {
		return c, err
	}
	c = membership{alive: make(map[string]bool, len(names)+1), servers: make(map[string]bool)}
	for _, key := range append(names, "") {
		exists, replid, err := s.lookUp(key)
		if err != nil {
			return c, err
		}
		c.servers[replid] = true
		if key != "" {
			c.alive[key] = exists
		}
	}
	return c, nil
}

// lookUp reports whether a node's lease exists, and the replication id of the server that answered. For the node "" it
// asks the server that has the set of nodes.
func (s *Store) lookUp(node string) (exists bool, replid string, err error) {
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
	alive := s.looksAlive(node)
	if alive {
		s.nodes.watch(node)
	}
	return alive
}

func (s *Store) looksAlive(node string) bool {
	n := &s.nodes
	n.mu.Lock()
	alive := n.alive[node]
	now := time.Now()
	inGrace := now.Before(n.noDeathsUntil) || now.Sub(n.lastBeat) > s.Lease/2 // the next beat postpones deaths
	n.mu.Unlock()
	if alive || inGrace {
		return true
	}
	exists, replid, err := s.lookUp(node)
	if err != nil || exists {
		return true
	}
	me, err := s.do(s.client.B().Sismember().Key(s.nodesKey()).Member(s.Options.Node).Build()).AsBool()
	if err != nil || !me { // Redis has lost this node as well
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.servers[replid] // unknown server: it may have lost the other node's lease; the next beat decides
}
