package redis

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// maxCalls is how many requests of other nodes are worked on at one time, among them long-polls that wait. More get no answer.
const maxCalls = 10_000

// service is this node's being there for the others.
type service struct {
	store  *Store
	events hub.NodeEvents
	room   chan struct{} // holds as many as are worked on
	work   sync.WaitGroup

	standing chan struct{} // closed once what the others ask is heard
	gaps     int           // they are told one after the other
}

// Serve implements hub.Nodes.
func (s *Store) Serve(events hub.NodeEvents) (stop func()) {
	v := &service{store: s, events: events, room: make(chan struct{}, maxCalls), standing: make(chan struct{})}
	ctx, cancel := context.WithCancel(s.ctx)
	unfollow := s.bus.follow(nodeKey(s.Options.Node), &follower{gap: v.gap, heard: v.heard})
	unfollowAll := s.bus.follow(allChannel, &follower{gap: func() {}, heard: v.heard})
	joined := make(chan struct{})
	v.work.Go(func() { s.nodes.beatOn(ctx, &events, joined) })
	late, cancelLate := context.WithTimeout(ctx, s.Timeout)
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
		v.work.Wait()
	}
}

// gap says that requests may have been missed, but for the first time, when the service begins.
func (v *service) gap() {
	if v.gaps++; v.gaps == 1 {
		close(v.standing)
		return
	}
	v.work.Go(v.events.Missed)
}

// heard takes what another node sends: a request, or an answer that is waited for here.
func (v *service) heard(message string) {
	var c call
	if err := json.Unmarshal([]byte(message), &c); err != nil {
		v.store.Logger.Error("what another node asks is not understood; nodes of different versions?", "error", err)
		return
	}
	switch {
	case c.Answer:
		v.store.nodes.answered(&c)
		return
	case c.From == v.store.Options.Node: // it was told to all
		return
	}
	select {
	case v.room <- struct{}{}:
		v.work.Go(func() { v.answer(&c) })
	default:
		v.store.Logger.Error("other nodes ask more than this one can do at one time", "limit", maxCalls)
	}
}

// answer does what a request asks for. What was told to all nodes has no answer.
func (v *service) answer(c *call) {
	defer func() { <-v.room }()
	body := v.events.Answer(c.From, c.Body)
	if c.ID == "" {
		return
	}
	if _, err := v.store.tell(c.From, call{ID: c.ID, Body: body, Answer: true}); err != nil {
		v.store.Logger.Warn("another node's request cannot be answered", "node", c.From, "error", err)
	}
}
