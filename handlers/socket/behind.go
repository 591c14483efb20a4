package socket

import (
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// behind holds what is sent to a client behind certain events of a topic. Other pushes overtake the topic's events,
// because they are in the first lane.
type behind struct {
	mu      sync.Mutex
	waiting []waiting
}

// waiting is an event that waits until the topic's reader has passed a position.
type waiting struct {
	at  log.Position
	out Outgoing
}

// TopicTail returns the position of the newest event that this node has of the subscribed topic. Call it after
// SubscribeFrom.
func (c *Channel) TopicTail() log.Position { return c.topicSource.reader.TopicTail() }

// maxWaiting is how many events may wait for a client that does not read.
const maxWaiting = 16

// PushBehind sends an event to this client behind all events of the subscribed topic that this node has at the moment,
// and returns the position of the last of them. Call it after SubscribeFrom. Error: *errs.LimitError if the client does
// not read what waits for it.
func (c *Channel) PushBehind(out Outgoing) (log.Position, error) {
	b := &c.topicSource.behind
	at := c.TopicTail()
	b.mu.Lock()
	if len(b.waiting) >= maxWaiting {
		b.mu.Unlock()
		return at, &errs.LimitError{
			Kind: errs.ErrLimited, Name: "answers that the client has not read", Limit: maxWaiting, Retry: time.Second,
		}
	}
	b.waiting = append(b.waiting, waiting{at, out})
	b.mu.Unlock()
	c.topicFeed.Signal()
	return at, nil
}

// take removes and sends the events whose position a reader at p has passed, in order. In another epoch, all have been
// passed.
func (b *behind) take(p log.Position, send func(*Outgoing)) {
	b.mu.Lock()
	n := 0
	for n < len(b.waiting) && (b.waiting[n].at.Epoch != p.Epoch || b.waiting[n].at.Offset <= p.Offset) {
		n++
	}
	due := b.waiting[:n:n]
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	b.mu.Unlock()
	for i := range due {
		send(&due[i].out)
	}
}
