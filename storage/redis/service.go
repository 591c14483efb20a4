package redis

import (
	"context"
	"fmt"
	"sync"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// maxCalls is how many requests of other nodes are worked on at one time, among them long-polls that wait, and how many
// of this node's are under way. More are refused.
const maxCalls = 10_000

// service is this node's being there for the others.
type service struct {
	store  *Store
	events hub.NodeEvents
	slots  chan struct{} // holds as many as are worked on
	work   sync.WaitGroup

	subscribed chan struct{} // closed once what the others ask is heard

	mu     sync.Mutex // held while something is begun
	gaps   int
	closed bool // nothing more is begun
}

// Serve implements hub.Nodes.
func (s *Store) Serve(events hub.NodeEvents) (stop func()) {
	v := &service{store: s, events: events, slots: make(chan struct{}, maxCalls), subscribed: make(chan struct{})}
	ctx, cancel := context.WithCancel(s.ctx)
	unfollow := s.bus.follow(s.nodeChannel(s.Options.Node), &follower{gap: v.gap, heard: v.heard})
	unfollowAll := s.bus.follow(s.allChannel(), &follower{gap: func() {}, heard: v.heard})
	joined := make(chan struct{})
	v.work.Go(func() { s.nodes.heartbeat(ctx, &events, joined) })
	late, cancelLate := context.WithTimeout(ctx, s.Timeout)
	defer cancelLate()
	for _, done := range []chan struct{}{v.subscribed, joined} { // from now on it hears, and is asked
		select {
		case <-done:
		case <-late.Done():
		}
	}
	return func() {
		cancel()
		v.mu.Lock()
		v.closed = true
		v.mu.Unlock()
		v.work.Wait() // until what was asked is answered, it hears whether the answers are taken
		unfollow()
		unfollowAll()
	}
}

// gap says that requests may have been missed, but for the first time, when the service begins.
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

// heard takes what another node sends: a piece of a request or of an answer, or a word about what this node sends.
func (v *service) heard(message string) {
	f, err := parseFrame([]byte(message))
	if err != nil {
		v.store.Logger.Error("what another node says is not understood; nodes of different versions?", "error", err)
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
			v.store.nodes.answer(f.id, answered{err: err})
		}
	case abortFrame:
		p.discard(transferKey{f.about(), f.from, f.id})
	case requestFrame, broadcastFrame, answerFrame:
		if f.from != v.store.Options.Node { // it was told to all
			v.receive(f)
		}
	}
}

// receive takes a piece of a message.
func (v *service) receive(f *frame) {
	s := v.store
	body, whole, err := s.transfers.add(f)
	if err != nil {
		v.reject(f, err)
		return
	}
	if f.kind != broadcastFrame && f.size > shortBytes {
		v.sendControl(f.from, controlFrame(ackFrame, f.kind, s.Options.Node, f.id, f.at+uint64(len(f.piece)), ""))
	}
	switch {
	case !whole:
	case f.kind == answerFrame:
		s.transfers.received.release(len(body)) // it is who asked that has it now
		s.nodes.answer(f.id, answered{body: body})
	default:
		v.startAnswer(f, body)
	}
}

// reject says that a message is not taken.
func (v *service) reject(f *frame, why error) {
	s := v.store
	s.Logger.Warn("a message of another node is not taken", "node", f.from, "bytes", f.size, "error", why)
	if f.kind == answerFrame {
		s.nodes.answer(f.id, answered{err: why})
	}
	if f.kind != broadcastFrame {
		v.sendControl(f.from, controlFrame(rejectFrame, f.kind, s.Options.Node, f.id, 0, why.Error()))
	}
}

// sendControl sends a word about a message. What is lost of them the other node does not wait for without end.
func (v *service) sendControl(node string, w *frame) {
	v.work.Go(func() { _, _ = v.store.publish(v.store.nodeChannel(node), w) })
}

// startAnswer has a request answered.
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

// answer does what a request asks for. What was told to all nodes has no answer.
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
		s.Logger.Warn("another node's request cannot be answered", "node", f.from, "error", err)
	}
}
