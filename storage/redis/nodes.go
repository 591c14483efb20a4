package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// nodesKey is the set of all nodes that have not been found dead.
const nodesKey = "dw:{nodes}"

// allChannel is where all nodes are told something.
const allChannel = nodesKey + ":all"

// roomKey is written to learn whether Redis takes more.
const roomKey = nodesKey + ":room"

// nodeKey is what a node's keys begin with, and the channel on which it is asked.
func nodeKey(node string) string { return "dw:{n:" + node + "}" }

func leaseKey(node string) string { return nodeKey(node) + ":lease" }

// call is what nodes tell each other: a request, or the answer to one.
type call struct {
	ID     string `json:"i"`
	From   string `json:"f,omitempty"` // of a request: who waits for the answer
	Body   []byte `json:"b,omitempty"`
	Answer bool   `json:"a,omitempty"`
}

// nodes is this node among the others.
type nodes struct {
	store *Store

	mu      sync.Mutex
	waiting map[string]chan []byte // for answers, by call
	calls   uint64
	alive   map[string]bool // as of the last beat
	seen    map[string]bool // alive once, and not told dead yet
	renewed time.Time       // when the last beat that succeeded began: the lease was asked for later
	err     error           // of the last beat
	blind   time.Time       // until then nobody is found dead: others may have been kept from beating as we were
}

// Node implements hub.Nodes.
func (s *Store) Node() string { return s.Options.Node }

// Ask implements hub.Nodes.
func (s *Store) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	n := &s.nodes
	answered := make(chan []byte, 1)
	n.mu.Lock()
	n.calls++
	id := strconv.FormatUint(n.calls, 36)
	n.waiting[id] = answered
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.waiting, id)
		n.mu.Unlock()
	}()
	heard, err := s.tell(node, call{ID: id, From: s.Options.Node, Body: request})
	if err != nil {
		return nil, err
	}
	if heard == 0 && !s.cluster { // of a cluster's servers each counts its own listeners only
		return nil, fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	look := time.NewTicker(s.Lease / 4)
	defer look.Stop()
	for {
		select {
		case answer := <-answered:
			return answer, nil
		case <-look.C:
			if s.Alive(node) {
				continue
			}
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
		return nil, fmt.Errorf("node %s does not answer: %w", node, errs.ErrUnavailable)
	}
}

// tell sends a call to a node, and returns how many heard it, as far as the server of Redis knows that it was sent to.
func (s *Store) tell(node string, c call) (heard int64, err error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	heard, err = s.do(s.client.B().Publish().Channel(nodeKey(node)).Message(rueidis.BinaryString(raw)).Build()).AsInt64()
	if err != nil {
		return 0, unavailable(err)
	}
	return heard, nil
}

// Tell implements hub.Nodes.
func (s *Store) Tell(request []byte) error {
	raw, err := json.Marshal(call{From: s.Options.Node, Body: request})
	if err == nil {
		err = s.do(s.client.B().Publish().Channel(allChannel).Message(rueidis.BinaryString(raw)).Build()).Error()
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (n *nodes) answered(c *call) {
	n.mu.Lock()
	waiting := n.waiting[c.ID]
	delete(n.waiting, c.ID)
	n.mu.Unlock()
	if waiting != nil {
		waiting <- c.Body
	}
}

// beatOn renews this node's lease, and looks for others whose leases have run out, until the context ends. Then it gives the lease back. It closes
// joined after the first time.
func (n *nodes) beatOn(ctx context.Context, events *hub.NodeEvents, joined chan<- struct{}) {
	tick := time.NewTicker(n.store.Lease / 4)
	defer tick.Stop()
	for first := true; ; first = false {
		dead, forgotten := n.beat()
		if first {
			close(joined)
		}
		if forgotten {
			n.store.forgetOwn()
			events.Lost()
		}
		for _, node := range dead {
			n.bury(node, events.Died)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			me := n.store.Options.Node // what cannot be given back runs out
			_ = n.store.do(n.store.client.B().Del().Key(leaseKey(me)).Build())
			_ = n.store.do(n.store.client.B().Srem().Key(nodesKey).Member(me).Build())
			return
		}
	}
}

// beat returns the nodes that are found dead, and whether Redis had forgotten this one.
func (n *nodes) beat() (dead []string, forgotten bool) {
	sent := time.Now()
	alive, added, err := n.store.renew()
	if err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err = unavailable(err)
		return nil, false
	}
	full := n.store.hasRoom()
	n.mu.Lock()
	defer n.mu.Unlock()
	forgotten = added && !n.renewed.IsZero()
	if sent.Sub(n.renewed) > n.store.Lease/2 { // we were away, or have just come; the others may have been away as well
		n.blind = time.Now().Add(n.store.Lease + n.store.Lease/4)
	}
	n.renewed, n.alive, n.err = sent, alive, full
	for name, lives := range alive {
		if lives {
			n.seen[name] = true
		}
	}
	if time.Now().Before(n.blind) {
		return nil, forgotten
	}
	return n.gone(), forgotten
}

// LeaseValid implements hub.Nodes.
func (s *Store) LeaseValid() bool {
	s.nodes.mu.Lock()
	renewed := s.nodes.renewed
	s.nodes.mu.Unlock()
	return !renewed.IsZero() && holds(renewed, time.Now(), s.Lease)
}

// holds reports whether a lease that was asked for at one moment holds at another, by this node's clocks. Redis counts from when it was asked, which
// is later. A tenth of the lease is for clocks that do not run at the same speed, and for what is done between the look and the write. The steady clock
// of a machine may stand still while the machine sleeps, so the other clock is looked at as well.
func holds(asked, now time.Time, lease time.Duration) bool {
	steady, wall := now.Sub(asked), now.Round(0).Sub(asked.Round(0))
	return max(steady, wall) < lease-lease/10
}

// gone returns the nodes that have died, or ended, since it was asked last. n.mu is held.
func (n *nodes) gone() (dead []string) {
	for name, lives := range n.alive {
		if !lives {
			dead = append(dead, name)
		}
	}
	for name := range n.seen {
		if _, known := n.alive[name]; !known { // it has ended, or another node was quicker to find it dead
			dead = append(dead, name)
		}
	}
	for _, name := range dead {
		delete(n.seen, name)
	}
	return dead
}

// renew renews this node's lease. It returns what living does, and whether this node had to be added. What it does again and again is taken by
// a Redis that is full, too.
func (s *Store) renew() (alive map[string]bool, added bool, err error) {
	me := s.Options.Node
	leased, err := s.do(s.client.B().Pexpire().Key(leaseKey(me)).Milliseconds(s.Lease.Milliseconds()).Build()).AsBool()
	if err == nil && !leased {
		err = s.do(s.client.B().Set().Key(leaseKey(me)).Value("1").PxMilliseconds(s.Lease.Milliseconds()).Build()).Error()
	}
	if err != nil {
		return nil, false, err
	}
	if alive, err = s.living(); err != nil || alive[me] {
		return alive, false, err
	}
	alive[me] = true
	return alive, true, s.do(s.client.B().Sadd().Key(nodesKey).Member(me).Build()).Error()
}

// hasRoom says so where Redis takes nothing more because it is full.
func (s *Store) hasRoom() error {
	if err := s.do(s.client.B().Set().Key(roomKey).Value("1").PxMilliseconds(s.Lease.Milliseconds()).Build()).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// bury tells of a dead node, and forgets it. What fails is done again at the next beat.
func (n *nodes) bury(node string, died func(node string, streams []string) bool) {
	s := n.store
	ids, err := s.do(s.client.B().Zrange().Key(ownKey(node)).Min("0").Max("-1").Build()).AsStrSlice()
	if err == nil && died(node, ids) {
		s.Logger.Info("another node is gone", "node", node, "streams", len(ids))
		err = s.do(s.client.B().Del().Key(ownKey(node)).Build()).Error() // what is left has an end of its own
		if err == nil {
			err = s.do(s.client.B().Srem().Key(nodesKey).Member(node).Build()).Error()
		}
		if err == nil {
			return
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[node] = true // and so gone says again that it is dead, also where it is in the set no more
}

// Others implements hub.Nodes. It asks Redis: a node that has just come is among them. Where that cannot be asked, they are those of the last beat.
func (s *Store) Others() (others []string) {
	alive, err := s.living()
	if err != nil {
		s.nodes.mu.Lock()
		alive = s.nodes.alive
		s.nodes.mu.Unlock()
	}
	for node, lives := range alive {
		if lives && node != s.Options.Node {
			others = append(others, node)
		}
	}
	return others
}

// living returns the nodes that have not been found dead, each with whether its lease holds.
func (s *Store) living() (alive map[string]bool, err error) {
	names, err := s.do(s.client.B().Smembers().Key(nodesKey).Build()).AsStrSlice()
	if err != nil {
		return nil, err
	}
	alive = make(map[string]bool, len(names)+1)
	for _, name := range names {
		if alive[name], err = s.do(s.client.B().Exists().Key(leaseKey(name)).Build()).AsBool(); err != nil {
			return nil, err
		}
	}
	return alive, nil
}

// Alive implements hub.Nodes.
func (s *Store) Alive(node string) bool {
	n := &s.nodes
	n.mu.Lock()
	alive, known := n.alive[node]
	blind := time.Now().Before(n.blind)
	n.mu.Unlock()
	if known && alive || blind {
		return true
	}
	lives, err := s.do(s.client.B().Exists().Key(leaseKey(node)).Build()).AsInt64()
	return err != nil || lives > 0
}
