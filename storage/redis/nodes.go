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
	lives   map[string]bool // of servers of Redis, that were there at a beat
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
		return nil, fmt.Errorf("node %s is not there: %w", node, hub.ErrUnavailable)
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
		return nil, fmt.Errorf("node %s does not answer: %w", node, hub.ErrUnavailable)
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
