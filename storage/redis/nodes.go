package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// nodes is this node among the others.
type nodes struct {
	store *Store

	mu            sync.Mutex
	waiting       map[uint64]chan answered // for answers, by request
	calls         uint64
	alive         map[string]bool // as of the last beat
	known         map[string]bool // alive once, and not told dead yet
	servers       map[string]bool // of servers of Redis, that were there at a beat
	lastBeat      time.Time       // when the last beat that succeeded began: the lease was asked for later
	err           error           // of the last beat
	noDeathsUntil time.Time       // until then nobody is found dead: others may have been kept from beating as we were
}

// Node implements hub.Nodes.
func (s *Store) Node() string { return s.Options.Node }

// answered is the answer to a request, or why there is none.
type answered struct {
	body []byte
	err  error
}

// Ask implements hub.Nodes.
func (s *Store) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	if err := s.transfers.requests.acquire(len(request)); err != nil {
		return nil, err
	}
	defer s.transfers.requests.release(len(request))
	id, answer, err := s.nodes.await()
	if err != nil {
		return nil, err
	}
	defer s.nodes.forget(id)
	if err := s.send(ctx, node, requestFrame, id, request); err != nil {
		return nil, err
	}
	look := time.NewTicker(s.Lease / 4)
	defer look.Stop()
	for {
		select {
		case a := <-answer:
			return a.body, a.err
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

// await begins to wait for an answer.
func (n *nodes) await() (id uint64, answer <-chan answered, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= maxCalls {
		return 0, nil, overLimit("requests to other nodes under way", maxCalls)
	}
	n.calls++
	c := make(chan answered, 1)
	n.waiting[n.calls] = c
	return n.calls, c, nil
}

func (n *nodes) forget(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, id)
}

// answer gives an answer to who waits for it.
func (n *nodes) answer(id uint64, a answered) {
	n.mu.Lock()
	waiting := n.waiting[id]
	delete(n.waiting, id)
	n.mu.Unlock()
	if waiting != nil {
		waiting <- a
	}
}

// broadcastBytes is how long a message to all nodes may be: nobody confirms its pieces.
const broadcastBytes = 8 << 20

// Tell implements hub.Nodes.
func (s *Store) Tell(request []byte) error {
	if len(request) > broadcastBytes {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "bytes of what is told to all nodes", Limit: broadcastBytes}
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

// count returns the number of a message.
func (n *nodes) count() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	return n.calls
}
