package memory

import (
	"context"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// service is this node's being there for the others.
type service struct {
	node   *Node
	events hub.NodeEvents
	work   sync.WaitGroup

	mu   sync.Mutex
	over bool // nothing may begin

	standing chan struct{} // closed once what the others ask is heard
	gaps     int           // they are told one after the other
}

// standingPatience is how long Serve waits to be heard and to hear.
const standingPatience = 5 * time.Second

// Serve implements hub.Nodes.
func (n *Node) Serve(events hub.NodeEvents) (stop func()) {
	v := &service{node: n, events: events, standing: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	unfollow := n.follow(callsChannel(n.name), &follower{gap: v.gap, heard: v.heard})
	unfollowAll := n.follow(allChannel, &follower{gap: func() {}, heard: v.heard})
	joined := make(chan struct{})
	v.work.Go(func() { n.nodes.beatOn(ctx, &events, joined) })
	late, cancelLate := context.WithTimeout(ctx, standingPatience)
	defer cancelLate()
	for _, done := range []chan struct{}{v.standing, joined} { // from now on it hears, and is asked
		select {
		case <-done:
		case <-late.Done():
		}
	}
	return func() {
		cancel()
		unfollow()
		unfollowAll()
		v.end()
		v.work.Wait()
	}
}

// gap says that requests may have been missed, but for the first time, when the service begins.
func (v *service) gap() {
	if v.gaps++; v.gaps == 1 {
		close(v.standing)
		return
	}
	v.begin(v.events.Missed)
}

func (v *service) begin(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.work.Go(f)
	}
}

func (v *service) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
}

// heard takes what another node sends: a request, or an answer that is waited for here.
func (v *service) heard(message any) {
	c, s := message.(call), &v.node.nodes
	switch {
	case c.answer:
		s.mu.Lock()
		waiting := s.waiting[c.id]
		delete(s.waiting, c.id)
		s.mu.Unlock()
		if waiting != nil {
			waiting <- c.body
		}
	case c.from == v.node.name: // it was told to all
	default:
		v.begin(func() { v.answer(&c) })
	}
}

// answer does what a request asks for. What was told to all nodes has no answer.
func (v *service) answer(c *call) {
	body := v.events.Answer(c.from, c.body)
	if c.id != "" {
		_, _ = v.node.send(callsChannel(c.from), call{id: c.id, body: body, answer: true}) // who waits gives up
	}
}
