package socket

import (
	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// A Renderer appends the events of one item of a stream to dst. The goroutine that writes calls it.
type Renderer func(dst []Outgoing, item *log.Item) []Outgoing

// Follow pushes a stream's entries to this client, encoded by render: all entries after p, then new ones, until the
// stream's end or log.Reset.End. Positions of the stream, where the client needs them, are part of the payload, because
// Outgoing.At is a position of the topic. If *log.Reset is not nil, the entries after p are not available; the client
// gets all from Reset.From.
//
// The client counts as a watcher of the stream while it follows. Follow does not check whether it may read the stream.
func (c *Channel) Follow(s *hub.Stream, p log.Position, render Renderer) (*log.Reset, error) {
	if err := s.CatchUp(p); err != nil {
		return nil, err
	}
	var reset *log.Reset
	err := c.newFeed(func(w log.Waker) (source, error) {
		var r *log.Reader
		r, reset = s.Watch(p, w)
		return &followSource{reader: r, render: render}, nil
	})
	return reset, err
}

// followSource is the source of a stream's entries, encoded by the channel's Kind.
type followSource struct {
	reader *log.Reader
	render Renderer
	out    []Outgoing
}

func (f *followSource) close() { f.reader.Close() }

func (f *followSource) next(c *Channel, p *pull) outcome {
	var reset *log.Reset
	if p.items, reset = f.reader.Read(p.items[:0]); reset != nil {
		// A partitioned node lost the stream to another node, whose copy is shorter.
		p.items = append(p.items[:0], hub.ResetEnd())
	}
	for i := range p.items {
		item := &p.items[i]
		f.out = f.render(f.out[:0], item)
		for j := range f.out {
			p.add(c.outgoingFrame(&f.out[j]))
		}
	}
	if hasEnd(p.items) {
		return feedEnded
	}
	return feedContinues
}

// FollowWhole makes the channel follow a stream: the stream's entries become events, as over SSE, and the channel stops
// at the stream's end. Like Subscribe it resumes at the join's "after", else it starts at the beginning, and sets
// "recovered" and "position" in the reply.
func (c *Channel) FollowWhole(s *hub.Stream) error {
	p := log.Position{}
	if c.after != "" {
		var err error
		if p, err = log.ParsePosition(c.after); err != nil {
			return errs.Invalid("after", "%v", err)
		}
	}
	if err := s.CatchUp(p); err != nil {
		return err
	}
	return c.newFeed(func(w log.Waker) (source, error) {
		r, reset := s.Watch(p, w)
		c.setRecovered(reset, r.Start().String())
		return &streamSource{reader: r, shared: c.socket.version == phoenix.V2 && c.topic == "stream:"+s.ID}, nil
	})
}

// streamSource is the source of a stream whose entries are sent as events of a topic.
type streamSource struct {
	reader *log.Reader
	shared bool // frames may be shared; false where the client uses another id for the stream
}

func (t *streamSource) close() { t.reader.Close() }

func (t *streamSource) next(c *Channel, p *pull) outcome {
	var reset *log.Reset
	if p.items, reset = t.reader.Read(p.items[:0]); reset != nil {
		p.add(c.resetFrame(reset))
	}
	for i := range p.items {
		if f := t.frame(c, &p.items[i]); f != nil {
			p.add(f)
		}
	}
	if hasEnd(p.items) {
		return channelEnded
	}
	return feedContinues
}

// hasEnd reports whether the last item is a stream's end.
func hasEnd(items []log.Item) bool {
	if len(items) == 0 {
		return false
	}
	ev := items[len(items)-1].Event
	return ev != nil && ev.Kind == log.EndEvent
}

// maxShared is the maximum size of a stream's frame that is cached for other readers. The long first frame of a late
// reader is not cached, because no other reader needs the same one.
const maxShared = 64 << 10

// frame returns the frame of one item, shared by all readers at the tail; nil if the item is not sent on this
// transport.
func (t *streamSource) frame(c *Channel, item *log.Item) frame {
	slot := formatFrame
	if c.positions {
		slot = formatFrameAt
	}
	if t.shared {
		if b := item.Get(slot); b != nil {
			return b
		}
	}
	name, data := hub.StreamData(item, nil)
	if name == "" {
		return nil
	}
	data = asObject(data)
	ref := c.refSlot(log.Position{Epoch: t.reader.Epoch(), Offset: item.To})
	f := seal(phoenix.AppendText(frameBuffer(len(data)), c.socket.version, nil, ref, c.topic, name, data), opText)
	if t.shared && len(f) <= maxShared {
		item.Put(slot, f)
	}
	return f
}
