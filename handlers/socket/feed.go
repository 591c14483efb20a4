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

// The slots of log.Encoding for frames that all readers share. handlers/live defines the other slots.
const (
	formatFrame   log.Format = 4 // for clients that did not ask for positions
	formatFrameAt log.Format = 5 // with the position in the ref slot
)

// feed is one reader of a channel, in the second lane.
type feed struct {
	channel *Channel
	source  source
	pending atomic.Bool // it is in Socket.dirty
}

// source encodes what a reader of the hub returns as frames. All methods but close are called by one goroutine at a
// time.
type source interface {
	// next adds the available frames to p, up to a bound. When more arrive, the feed is signalled.
	next(c *Channel, p *pull) outcome
	close()
}

// outcome tells what happens to a feed after it was read.
type outcome uint8

const (
	feedContinues outcome = iota
	feedEnded             // the feed is removed; the channel continues
	channelEnded          // the channel ends
)

// Signal implements log.Waker.
func (f *feed) Signal() {
	if f.pending.Swap(true) {
		return
	}
	s := f.channel.socket
	s.mu.Lock()
	if f.channel.state == joining { // the reply is sent first: join signals again
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

// newFeed adds a feed. open creates its source, and gets the feed as the source's waker.
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
	f.Signal() // so that the reader is read once, and waits, even if there is nothing yet
	return nil
}

// remove closes one feed of a channel that continues.
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

// Subscribe subscribes the client to a topic, from the join's "after" (errs.ErrInvalid if that is not a position), else
// from now on. If the join gave an "after", its reply has "recovered" and "position". Subscribe does not check the
// client's rights.
func (c *Channel) Subscribe(topic string) error {
	return c.SubscribeFrom(topic, log.Position{Now: true})
}

// SubscribeFrom is Subscribe from p if the join gave no "after".
func (c *Channel) SubscribeFrom(topic string, p log.Position) error {
	from := log.Places{Topic: p}
	if c.after != "" {
		var err error
		if from, err = log.ParsePlaces(c.after); err != nil {
			return errs.Invalid("after", "%v", err)
		}
	}
	c.unfinished = from.Streams
	return c.newFeed(func(w log.Waker) (source, error) {
		r, reset, err := c.Hub().Subscribe(topic, from.Topic, w)
		if err != nil {
			return nil, err
		}
		r.ReadFor(c.User())
		c.setRecovered(reset)
		c.places.Topic = r.Start()
		c.topicFeed = w
		c.topicSource = &topicSource{reader: r}
		return c.topicSource, nil
	})
}

// setRecovered adds to the join's reply whether something was missed: it was if any of several calls has a reset. Only
// clients that asked for positions are told.
func (c *Channel) setRecovered(reset *log.Reset) {
	if !c.positions {
		return
	}
	if _, told := c.response["reset"]; told {
		return
	}
	c.Set("recovered", reset == nil)
	if reset != nil {
		c.Set("reset", string(reset.Reason))
	}
}

// topicSource is the source of a topic's events.
type topicSource struct {
	reader    *hub.TopicReader
	positions log.Vector // the vector that positions are sent as, the topic's first; nil: only the topic's position
	behind    behind
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
	t.behind.take(t.reader.Position(), func(out *Outgoing) { p.add(c.outgoingFrame(out, c.topicRef(out.At))) })
	return feedContinues
}

// resetFrame returns the frame that tells a client which events it missed because it fell behind.
func (c *Channel) resetFrame(r *log.Reset) frame {
	payload := append(jsonw.AppendString([]byte(`{"reason":`), string(r.Reason)), `,"requested":`...)
	payload = append(jsonw.AppendString(payload, r.Requested), `,"from":`...)
	payload = append(jsonw.AppendString(payload, r.From.String()), '}')
	return c.eventFrame("reset", payload, nil)
}

// topicFrame returns the frame of one event for this client: the shared frame, a frame of its own, or nil to send
// nothing.
func (c *Channel) topicFrame(item *log.Item, t *topicSource) frame {
	ev := item.Event
	at := log.Position{}
	if item.To > 0 {
		at = log.Position{Epoch: t.reader.Epoch(), Offset: item.To}
	}
	spared := ev.Except != "" && ev.Except == c.client
	if c.rewriter != nil {
		out, keep := c.rewriter.Rewrite(ev)
		switch {
		case keep, spared:
		case out.Event == "":
			return nil
		default:
			return c.outgoingFrame(&out, c.topicRef(at))
		}
	}
	if spared {
		return nil
	}
	if t.positions != nil && c.positions {
		return c.eventFrame(ev.Name, ev.Payload(), t.vectorRefAt(at))
	}
	asText := ev.Bytes != nil && !c.positions && !c.socket.binary
	if c.topic != t.reader.Topic() || c.socket.version != phoenix.V2 || asText || len(c.places.Streams) > 0 {
		return c.broadcastFrame(ev, c.topicRef(at))
	}
	slot := formatFrame
	if c.positions {
		slot = formatFrameAt
	}
	if b := item.Get(slot); b != nil {
		c.reached(at)
		return b
	}
	f := c.broadcastFrame(ev, c.topicRef(at))
	item.Put(slot, f)
	return f
}

// broadcastFrame encodes an event as all clients get it, without a join_ref. A binary frame has no slot for a position,
// so clients that asked for positions get bytes in a text frame.
func (c *Channel) broadcastFrame(ev *log.Event, ref []byte) frame {
	if ev.Bytes != nil && !c.positions && c.socket.binary {
		if buf, err := phoenix.AppendBinaryBroadcast(frameBuffer(len(ev.Bytes)), c.topic, ev.Name, ev.Bytes); err == nil {
			return seal(buf, opBinary)
		}
	}
	payload := ev.Payload()
	buf := frameBuffer(len(payload))
	return seal(phoenix.AppendText(buf, c.socket.version, nil, ref, c.topic, ev.Name, payload), opText)
}

// outgoingFrame encodes an event for this client only.
func (c *Channel) outgoingFrame(out *Outgoing, ref []byte) frame {
	if out.Bytes != nil && c.socket.binary && !c.positions {
		buf, err := frameBuffer(len(out.Bytes)), error(nil)
		if out.Broadcast != "" {
			buf, err = phoenix.AppendUserBroadcastFrame(buf, c.topic, out.Broadcast, out.Bytes)
		} else {
			buf, err = phoenix.AppendBinaryPush(buf, unquoteRef(c.pushRef), c.topic, out.Event, out.Bytes)
		}
		if err == nil {
			return seal(buf, opBinary)
		}
	}
	payload := out.Payload
	if payload == nil && out.Bytes != nil {
		payload = encode(map[string][]byte{"bytes": out.Bytes})
	}
	return c.eventFrame(out.Event, payload, ref)
}

// eventFrame encodes an event for this client only, with the join's join_ref: a client that has joined again ignores it.
func (c *Channel) eventFrame(event string, payload json.RawMessage, ref []byte) frame {
	buf := frameBuffer(len(payload))
	return seal(phoenix.AppendText(buf, c.socket.version, c.pushRef, ref, c.topic, event, payload), opText)
}
