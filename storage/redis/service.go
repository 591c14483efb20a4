package redis

import (
	"context"
	"fmt"
	"sync"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// maxCalls limits the requests of other nodes that are in progress, long-polls included, and this node's own requests
// that wait for an answer. Further ones are rejected.
const maxCalls = 10_000

// service answers the requests of other nodes.
type service struct {
	store  *Store
	events hub.NodeEvents
	slots  chan struct{} // one element per request in progress
	work   sync.WaitGroup

	subscribed chan struct{} // closed once the subscription to requests is confirmed

	mu     sync.Mutex // guards the fields below, and is locked while work is started
	gaps   int
	closed bool // no more work is started
}

// Serve implements hub.Nodes.
func (s *Store) Serve(events hub.NodeEvents) (stop func()) {
	v := &service{store: s, events: events, slots: make(chan struct{}, maxCalls), subscribed: make(chan struct{})}
	ctx, cancel := context.WithCancel(s.ctx)
	unfollow := s.bus.follow(s.nodeChannel(s.Options.Node), &follower{gap: v.gap, heard: v.heard})
	unfollowAll := s.bus.follow(s.allChannel(), &follower{gap: func() {}, heard: v.heard})
	joined := make(chan struct{})
	v.work.Go(func() { s.nodes.heartbeat(ctx, &events, joined) })
	timeout, cancelTimeout := context.WithTimeout(ctx, s.Timeout)
	defer cancelTimeout()
	for _, done := range []chan struct{}{v.subscribed, joined} { // then requests arrive, and other nodes know this one
		select {
		case <-done:
		case <-timeout.Done():
		}
	}
	return func() {
		cancel()
		v.mu.Lock()
		v.closed = true
		v.mu.Unlock()
		v.work.Wait() // the follower must stay until then: it receives the acknowledgements of the answers
		unfollow()
		unfollowAll()
	}
}

// gap reports that requests may have been missed. The first call only means that the subscription is confirmed.
func (v *service) gap() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	if v.gaps++; v.gaps == 1 {
		close(v.subscribed)
		return
	}
	v.work.Go(v.events.Missed)
}

// heard processes a frame of another node: a piece of a request or an answer, or a control frame.
func (v *service) heard(message string) {
	f, err := parseFrame([]byte(message))
	if err != nil {
		v.store.Logger.Error("a frame of another node cannot be parsed; do the nodes run different versions?",
			"error", err)
		return
	}
	p := &v.store.transfers
	if f.kind == ackFrame || f.kind == rejectFrame {
		p.confirm(f)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	switch f.kind {
	case rejectFrame:
		if f.about() == requestFrame {
			err := fmt.Errorf("node %s: %s: %w", f.from, f.piece, errs.ErrUnavailable)
			v.store.nodes.answer(f.id, result{err: err})
		}
	case abortFrame:
		p.discard(transferKey{f.about(), f.from, f.id})
	case requestFrame, broadcastFrame, answerFrame:
		if f.from != v.store.Options.Node { // a broadcast also reaches its sender
			v.receive(f)
		}
	}
}

// receive processes a piece of a message.
func (v *service) receive(f *frame) {
	s := v.store
	body, complete, err := s.transfers.add(f)
	if err != nil {
		v.reject(f, err)
		return
	}
	if f.kind != broadcastFrame && f.size > shortBytes {
		v.sendControl(f.from, controlFrame(ackFrame, f.kind, s.Options.Node, f.id, f.at+uint64(len(f.piece)), ""))
	}
	switch {
	case !complete:
	case f.kind == answerFrame:
		s.transfers.received.release(len(body)) // the node that asked accounts for it from now on
		s.nodes.answer(f.id, result{body: body})
	default:
		v.startAnswer(f, body)
	}
}

// reject tells the sender that a message is not accepted.
func (v *service) reject(f *frame, why error) {
	s := v.store
	s.Logger.Warn("a message of another node is rejected", "node", f.from, "bytes", f.size, "error", why)
	if f.kind == answerFrame {
		s.nodes.answer(f.id, result{err: why})
	}
	if f.kind != broadcastFrame {
		v.sendControl(f.from, controlFrame(rejectFrame, f.kind, s.Options.Node, f.id, 0, why.Error()))
	}
}

// sendControl sends a control frame. It may be lost: the other node only waits for it until a timeout.
func (v *service) sendControl(node string, w *frame) {
	v.work.Go(func() { _, _ = v.store.publish(v.store.nodeChannel(node), w) })
}

// startAnswer answers a request in the background.
func (v *service) startAnswer(f *frame, body []byte) {
	select {
	case v.slots <- struct{}{}:
		v.work.Go(func() {
			defer func() { <-v.slots }()
			defer v.store.transfers.received.release(len(body))
			v.answer(f, body)
		})
	default:
		v.store.transfers.received.release(len(body))
		v.reject(f, overLimit("requests of other nodes under way", maxCalls))
	}
}

// answer calls the handler of a request, and sends the answer. A broadcast has none.
func (v *service) answer(f *frame, request []byte) {
	s := v.store
	body := v.events.Answer(f.from, request)
	if f.kind == broadcastFrame {
		return
	}
	err := s.transfers.answers.acquire(len(body))
	if err == nil {
		defer s.transfers.answers.release(len(body))
		err = s.send(s.ctx, f.from, answerFrame, f.id, body)
	} else {
		refusal := controlFrame(rejectFrame, requestFrame, s.Options.Node, f.id, 0, err.Error())
		_, _ = s.publish(s.nodeChannel(f.from), refusal)
	}
	if err != nil {
		s.Logger.Warn("the answer to another node could not be sent", "node", f.from, "error", err)
	}
}
