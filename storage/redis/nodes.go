package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// nodes is this node's view of the others, and its pending requests to them.
type nodes struct {
	store *Store

	mu        sync.Mutex
	waiting   map[uint64]chan result // pending requests, by id
	calls     uint64
	alive     map[string]bool // as of the last beat
	watched   map[string]bool // nodes that were alive, and whose death was not reported yet
	servers   map[string]bool // replication ids of the Redis servers seen so far
	lastBeat  time.Time       // when the last successful beat began; the lease begins later
	confirmed time.Time       // lastBeat, set when the hub knows the result of that beat; decides LeaseValid
	err       error           // result of the last beat
	// no node is declared dead before: others may have been unable to renew their leases, as this node was
	noDeathsUntil time.Time
}

// Node implements hub.Nodes.
func (s *Store) Node() string { return s.Options.Node }

// result is the result of a request.
type result struct {
	body []byte
	err  error
}

// Ask implements hub.Nodes.
func (s *Store) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	// Not Alive: the name may be a client's, and the node's death is nothing that the hub must be told.
	if !s.looksAlive(node) {
		return nil, fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	if err := s.transfers.requests.acquire(len(request)); err != nil {
		return nil, err
	}
	defer s.transfers.requests.release(len(request))
	id, answer, err := s.nodes.await()
	if err != nil {
		return nil, err
	}
	defer s.nodes.stopWaiting(id)
	if err := s.send(ctx, node, requestFrame, id, request); err != nil {
		return nil, err
	}
	tick := time.NewTicker(s.Lease / 4)
	defer tick.Stop()
	for {
		select {
		case r := <-answer:
			return r.body, r.err
		case <-tick.C:
			if s.looksAlive(node) {
				continue
			}
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
		return nil, fmt.Errorf("node %s does not answer: %w", node, errs.ErrUnavailable)
	}
}

// await registers a new request.
func (n *nodes) await() (id uint64, answer <-chan result, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= maxCalls {
		return 0, nil, overLimit("requests to other nodes under way", maxCalls)
	}
	n.calls++
	c := make(chan result, 1)
	n.waiting[n.calls] = c
	return n.calls, c, nil
}

func (n *nodes) stopWaiting(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, id)
}

// answer delivers the result of a request to its waiter, if there still is one.
func (n *nodes) answer(id uint64, r result) {
	n.mu.Lock()
	waiting := n.waiting[id]
	delete(n.waiting, id)
	n.mu.Unlock()
	if waiting != nil {
		waiting <- r
	}
}

// broadcastBytes limits a message to all nodes, whose pieces nobody acknowledges.
const broadcastBytes = 8 << 20

// Tell implements hub.Nodes.
func (s *Store) Tell(request []byte) error {
	if len(request) > broadcastBytes {
		return &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "bytes of what is told to all nodes", Limit: broadcastBytes,
		}
	}
	f := &frame{kind: broadcastFrame, from: s.Options.Node, id: s.nodes.count(), size: uint64(len(request))}
	for at := 0; at == 0 || at < len(request); at += pieceBytes {
		f.at, f.piece = uint64(at), request[at:min(at+pieceBytes, len(request))]
		if _, err := s.publish(s.allChannel(), f); err != nil {
			return err
		}
	}
	return nil
}

// count returns the id of a new message.
func (n *nodes) count() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	return n.calls
}
