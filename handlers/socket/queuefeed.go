package socket

import (
	"strings"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// MessageEvent is the event name of a queue's messages.
const MessageEvent = "message"

// SubscribeWithQueue is Subscribe for a user's own topic together with the user's queue. The queue's messages are
// pushed as MessageEvent, and expired ones are reported as hub.ExpiredEvent. If there are no queues, it is Subscribe.
//
// Positions are then a log.Vector of the topic's position and the queue's. The join's "after" may be a vector or a
// position in one of the logs. Without a position in the topic, the topic is read from now on; without one in the
// queue, the queue is read from its oldest message. SubscribeWithQueue does not check the client's rights. It reads
// from the store, so call it within Join.
func (c *Channel) SubscribeWithQueue(topic, user string) error {
	if c.Hub().QueueEpoch() == "" {
		return c.Subscribe(topic)
	}
	from, err := userPositions(c.after, c.Hub().QueueEpoch())
	if err != nil {
		return err
	}
	return c.newFeed(func(w log.Waker) (source, error) {
		queue, lost, err := c.Hub().ReadQueue(user, from[1], w)
		if err != nil {
			return nil, err
		}
		r, reset, err := c.Hub().Subscribe(topic, from[0], w)
		if err != nil {
			queue.Close()
			return nil, err
		}
		r.ReadFor(c.User())
		if reset == nil {
			reset = lost
		}
		places := log.Vector{r.Start(), queue.Start()}
		c.setRecovered(reset)
		c.setPosition(places.Append(nil))
		return &userSource{topicSource{reader: r, positions: places}, queue}, nil
	})
}

// userPositions parses a join's "after" into the positions in the topic and in the queue.
func userPositions(after, queueEpoch string) (log.Vector, error) {
	topic, queue := log.Position{Now: true}, log.Position{}
	if isVector(after) {
		v, err := log.ParseVector(after, 2)
		if err != nil {
			return nil, errs.Invalid("after", "%v", err)
		}
		return v, nil
	}
	if after != "" {
		p, err := log.ParsePosition(after)
		if err != nil {
			return nil, errs.Invalid("after", "%v", err)
		}
		if p.Epoch == queueEpoch {
			queue = p
		} else {
			topic = p
		}
	}
	return log.Vector{topic, queue}, nil
}

// isVector reports whether a text is a vector of positions rather than one position.
func isVector(text string) bool { return strings.Contains(text, ".V") }

// QueuePosition parses a position in a queue: one of the queue itself, or a vector of a user's channel. field is its
// name in the caller's request.
func QueuePosition(field, text string) (p log.Position, err error) {
	if isVector(text) {
		var v log.Vector
		if v, err = log.ParseVector(text, 2); err == nil {
			return v[1], nil
		}
	} else if p, err = log.ParsePosition(text); err == nil {
		return p, nil
	}
	return p, errs.Invalid(field, `must be the position of a message, as it was received, or "0"`)
}

// userSource is the source of a user's topic and queue.
type userSource struct {
	topicSource
	queue *hub.QueueReader
}

func (u *userSource) close() {
	u.topicSource.close()
	u.queue.Close()
}

func (u *userSource) next(c *Channel, p *pull) outcome {
	u.topicSource.next(c, p)
	var expired *hub.Expired
	p.items, expired = u.queue.Read(p.items[:0])
	if expired != nil { // without a position: receiving it does not acknowledge it
		p.add(c.eventFrame(hub.ExpiredEvent, expired.AppendJSON(nil), nil))
	}
	for i := range p.items {
		p.add(u.messageFrame(c, &p.items[i]))
	}
	return feedContinues
}

// messageFrame returns the frame of one message. All sessions share it, except those that asked for positions: their
// frames include the topic's position, and the join_ref. A client that has joined again ignores the frames of its
// earlier join, which are behind the position in the new one: the new feed sends their messages, after all before them.
func (u *userSource) messageFrame(c *Channel, item *log.Item) frame {
	data := item.Event.Data
	if c.positions {
		u.positions[1] = log.Position{Epoch: u.queue.Epoch(), Offset: item.To}
		return c.eventFrame(MessageEvent, data, u.vectorRef())
	}
	shared := c.socket.version == phoenix.V2
	if shared {
		if b := item.Get(formatFrame); b != nil {
			return b
		}
	}
	f := seal(phoenix.AppendText(frameBuffer(len(data)), c.socket.version, nil, nil, c.topic, MessageEvent, data), opText)
	if shared {
		item.Put(formatFrame, f)
	}
	return f
}

// vectorRefAt returns the ref of an event at a position in the topic; nil if the event has no position.
func (t *topicSource) vectorRefAt(at log.Position) []byte {
	if at.Epoch == "" {
		return nil
	}
	t.positions[0] = at
	return t.vectorRef()
}

// vectorRef returns a ref with the positions in both logs.
func (t *topicSource) vectorRef() []byte { return append(t.positions.Append([]byte{'"'}), '"') }
