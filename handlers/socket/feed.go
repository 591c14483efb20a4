package socket

import (
	"encoding/json"
	"sync/atomic"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// The slots of log.Encoding for frames that all readers share; handlers/live has the others.
const (
	formatFrame   log.Format = 4 // for clients that did not ask for positions
	formatFrameAt log.Format = 5 // with the position in the ref slot
)

// feed is one reading place of a channel in the second lane.
type feed struct {
	channel *Channel
	source  source
	pending atomic.Bool // it stands in Socket.dirty
}

// source makes frames of what a reader of the hub has. Its methods are called by one goroutine at a time, but for close.
type source interface {
	// next adds what there is, bounded. When more comes, the feed is signalled.
	next(c *Channel, p *pull) outcome
	close()
}

// outcome is what becomes of a feed that was read.
type outcome uint8

const (
	feedContinues outcome = iota
	feedEnded             // the channel goes on without it
	channelEnded          // the channel is over
)

// Signal implements log.Waker.
func (f *feed) Signal() {
	if f.pending.Swap(true) {
		return
	}
	s := f.channel.socket
	s.mu.Lock()
	if f.channel.state == joining { // the reply goes first: join signals again
		f.pending.Store(false)
		s.mu.Unlock()
		return
	}
	s.dirty = append(s.dirty, f)
	s.mu.Unlock()
	s.transport.notify()
}

// Transport implements hub.Client.
func (f *feed) Transport() hub.Transport { return f.channel.socket.via }

// newFeed adds a feed whose source is made by open, which gets the feed as its waker.
func (c *Channel) newFeed(open func(w log.Waker) (source, error)) error {
	f := &feed{channel: c}
	src, err := open(f)
	if err != nil {
		return err
	}
	f.source = src
	s := c.socket
	s.mu.Lock()
	if c.state == ended {
		s.mu.Unlock()
		src.close()
		return errs.ErrClosed
	}
	c.feeds = append(c.feeds, f)
	s.mu.Unlock()
	f.Signal() // so that it is read, and parked, even if nothing has come
	return nil
}

// remove ends one feed of a channel that goes on.
func (f *feed) remove() {
	c := f.channel
	s := c.socket
	s.mu.Lock()
	for i, other := range c.feeds {
		if other == f {
			c.feeds = append(c.feeds[:i], c.feeds[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	f.source.close()
}

// Subscribe begins to hear the events of a topic, from where the join's "after" says (errs.ErrInvalid for what is no position), else from now
// on. To those who gave an "after" the reply to the join tells "recovered" and "position". Whether the client may is not asked.
func (c *Channel) Subscribe(topic string) error {
	p := log.Position{Now: true}
	if c.after != "" {
		var err error
		if p, err = log.ParsePosition(c.after); err != nil {
			return errs.Invalid("after", "%v", err)
		}
	}
	return c.newFeed(func(w log.Waker) (source, error) {
		r, reset, err := c.Hub().Subscribe(topic, p, w)
		if err != nil {
			return nil, err
		}
		r.ReadFor(c.User())
		c.setRecovered(reset, r.Start().String())
		return &topicSource{reader: r}, nil
	})
}

// setRecovered tells those who asked whether they missed nothing, and where they are.
func (c *Channel) setRecovered(reset *log.Reset, at string) {
	if !c.positions {
		return
	}
	c.Set("recovered", reset == nil)
	c.Set("position", at)
	if reset != nil {
		c.Set("reset", string(reset.Reason))
	}
}

// topicSource is a topic's events.
type topicSource struct {
	reader    *hub.TopicReader
	positions log.Vector // what a position tells, the topic's place first; nil: the topic's alone
}

func (t *topicSource) close() { t.reader.Close() }

func (t *topicSource) next(c *Channel, p *pull) outcome {
	var reset *log.Reset
	p.items, reset = t.reader.Read(p.items[:0])
	if reset != nil {
		p.add(c.resetFrame(reset))
	}
	for i := range p.items {
		if f := c.topicFrame(&p.items[i], t); f != nil {
			p.add(f)
		}
	}
	return feedContinues
}

// resetFrame tells a client that fell behind what it does not get.
func (c *Channel) resetFrame(r *log.Reset) frame {
	payload := append(jsonw.AppendString([]byte(`{"reason":`), string(r.Reason)), `,"requested":`...)
	payload = append(jsonw.AppendString(payload, r.Requested), `,"from":`...)
	payload = append(jsonw.AppendString(payload, r.From.String()), '}')
	return c.eventFrame("reset", payload, log.Position{})
}

// topicFrame returns the frame of one event for this client: the shared one, its own, or nil for none.
func (c *Channel) topicFrame(item *log.Item, t *topicSource) frame {
	ev := item.Event
	if ev.Except != "" && ev.Except == c.client {
		return nil
	}
	at := log.Position{}
	if item.To > 0 {
		at = log.Position{Epoch: t.reader.Epoch(), Offset: item.To}
	}
	if c.rewriter != nil {
		out, keep := c.rewriter.Rewrite(ev)
		switch {
		case keep:
		case out.Event == "":
			return nil
		default:
			return c.eventFrame(out.Event, out.Payload, at)
		}
	}
	if t.positions != nil && c.positions {
		return c.broadcastFrame(ev, t.vectorRefAt(at))
	}
	if c.topic != t.reader.Topic() || c.socket.version != phoenix.V2 || ev.Bytes != nil && !c.positions && !c.socket.binary {
		return c.broadcastFrame(ev, c.refSlot(at))
	}
	slot := formatFrame
	if c.positions {
		slot = formatFrameAt
	}
	if b := item.Get(slot); b != nil {
		return b
	}
	f := c.broadcastFrame(ev, c.refSlot(at))
	item.Put(slot, f)
	return f
}

// broadcastFrame makes the frame of an event as everybody gets it: without a join_ref. A binary frame has no slot for a position, so those who
// asked for positions get bytes as text.
func (c *Channel) broadcastFrame(ev *log.Event, ref []byte) frame {
	if ev.Bytes != nil && !c.positions && c.socket.binary {
		if buf, err := phoenix.AppendBinaryBroadcast(frameBuffer(len(ev.Bytes)), c.topic, ev.Name, ev.Bytes); err == nil {
			return seal(buf, opBinary)
		}
	}
	payload := asObject(ev.Payload())
	return seal(phoenix.AppendText(frameBuffer(len(payload)), c.socket.version, nil, ref, c.topic, ev.Name, payload), opText)
}

// eventFrame makes the frame of an event for this client alone.
func (c *Channel) eventFrame(event string, payload json.RawMessage, at log.Position) frame {
	payload = asObject(payload)
	return seal(phoenix.AppendText(frameBuffer(len(payload)), c.socket.version, c.pushRef, c.refSlot(at), c.topic, event, payload), opText)
}

// refSlot is what stands in the ref of a message that is no reply: its position, for those who asked.
func (c *Channel) refSlot(at log.Position) []byte {
	if !c.positions || at.Epoch == "" {
		return nil
	}
	return append(at.Append([]byte{'"'}), '"')
}

// asObject wraps a payload that is no object: the official client reads members of whatever comes.
func asObject(payload json.RawMessage) json.RawMessage {
	if len(payload) > 0 && payload[0] == '{' {
		return payload
	}
	return append(append([]byte(`{"payload":`), jsonw.AppendRaw(nil, payload)...), '}')
}
