package socket

import (
	"strings"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// MessageEvent is the event as which messages of a queue are pushed.
const MessageEvent = "message"

// SubscribeWithQueue is Subscribe for a user's own topic, with the user's queue: its messages are pushed as MessageEvent, and what expired as
// hub.ExpiredEvent. Where there are no queues it is Subscribe.
//
// A position is one of both logs then: a log.Vector of the topic's place and the queue's. The join's "after" may be such a one, or one of a single
// log. Where it says nothing of the topic, that is heard from now on; where it says nothing of the queue, that begins at the oldest message. Whether
// the client may is not asked. It reads from the store, and so belongs into Join.
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
		c.setRecovered(reset, string(places.Append(nil)))
		return &userSource{topicSource{reader: r, positions: places}, queue}, nil
	})
}

// userPositions reads a join's "after": the places in the topic and in the queue.
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

// isVector tells the text of several positions from that of one.
func isVector(text string) bool { return strings.Contains(text, ".V") }

// QueuePosition reads a position in a queue: one of its own, or one of a user's channel. field is its name in the caller's request.
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

// userSource is a user's topic and queue.
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
	if expired != nil { // without a position: that does not say that it is known
		p.add(c.eventFrame(hub.ExpiredEvent, expired.AppendJSON(nil), log.Position{}))
	}
	for i := range p.items {
		p.add(u.messageFrame(c, &p.items[i]))
	}
	return feedContinues
}

// messageFrame returns the frame of one message: shared by all sessions, but for those who asked for positions. Theirs tell the topic's place, too.
func (u *userSource) messageFrame(c *Channel, item *log.Item) frame {
	u.positions[1].Offset = item.To
	shared := c.socket.version == phoenix.V2 && !c.positions
	if shared {
		if b := item.Get(formatFrame); b != nil {
			return b
		}
	}
	var ref []byte
	if c.positions {
		ref = u.vectorRef()
	}
	data := item.Event.Data
	f := seal(phoenix.AppendText(frameBuffer(len(data)), c.socket.version, nil, ref, c.topic, MessageEvent, data), opText)
	if shared {
		item.Put(formatFrame, f)
	}
	return f
}

// vectorRefAt is the ref slot of an event at a place in the topic; nil where it has none.
func (t *topicSource) vectorRefAt(at log.Position) []byte {
	if at.Epoch == "" {
		return nil
	}
	t.positions[0] = at
	return t.vectorRef()
}

// vectorRef is the ref slot that tells all places.
func (t *topicSource) vectorRef() []byte { return append(t.positions.Append([]byte{'"'}), '"') }
