package memory

import (
	"context"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// service answers the other nodes' requests while Serve runs.
type service struct {
	node   *Node
	events hub.NodeEvents
	work   sync.WaitGroup

	mu      sync.Mutex
	closing bool // no further goroutines may start

	subscribed chan struct{} // closed when requests to this node are heard
	gaps       int           // counts calls of gap, which never run at the same time
}

// serveTimeout is how long Serve waits until other nodes see this one, and their requests are heard.
const serveTimeout = 5 * time.Second

// Serve implements hub.Nodes.
func (n *Node) Serve(events hub.NodeEvents) (stop func()) {
	v := &service{node: n, events: events, subscribed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	unfollow := n.follow(callsChannel(n.name), &follower{gap: v.gap, heard: v.heard})
	unfollowAll := n.follow(allChannel, &follower{gap: func() {}, heard: v.heard})
	joined := make(chan struct{})
	v.work.Go(func() { n.nodes.heartbeats(ctx, &events, joined) })
	timeout, cancelTimeout := context.WithTimeout(ctx, serveTimeout)
	defer cancelTimeout()
	for _, done := range []chan struct{}{v.subscribed, joined} {
		select {
		case <-done:
		case <-timeout.Done():
		}
	}
	return func() {
		cancel()
		unfollow()
		unfollowAll()
		v.close()
		v.work.Wait()
	}
}

// gap is called when requests may have been missed. The first call only confirms the subscription.
func (v *service) gap() {
	if v.gaps++; v.gaps == 1 {
		close(v.subscribed)
		return
	}
	v.start(v.events.Missed)
}

func (v *service) start(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closing {
		v.work.Go(f)
	}
}

func (v *service) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closing = true
}

// heard handles a message of another node: a request, or the answer to a request of this node.
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
	case c.from == v.node.name: // this node's own request to all nodes
	default:
		v.start(func() { v.answer(&c) })
	}
}

// answer handles a request and sends the answer. A request to all nodes has none.
func (v *service) answer(c *call) {
	body := v.events.Answer(c.from, c.body)
	if c.id != "" {
		// If this fails, the caller gives up after its timeout.
		_, _ = v.node.publishCall(callsChannel(c.from), call{id: c.id, body: body, answer: true})
	}
}
