package socket

import (
	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Follow pushes what render makes of a stream's entries to this client: everything after p, then live, until the stream's end, or log.Reset.End. render appends to
// dst the events of one item; it is called from the goroutine that writes. Where a client is to know positions of the stream, they stand in the
// payload: Outgoing.At is the topic's. *log.Reset means that the stream has nothing exactly after p: the client gets all from Reset.From.
//
// The client counts as a watcher of the stream while it follows. Whether it may read the stream is not asked.
func (c *Channel) Follow(s *hub.Stream, p log.Position, render func(dst []Outgoing, item *log.Item) []Outgoing) (*log.Reset, error) {
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

// followSource is a stream in the words of a channel.
type followSource struct {
	reader *log.Reader
	render func(dst []Outgoing, item *log.Item) []Outgoing
	out    []Outgoing
}

func (f *followSource) close() { f.reader.Close() }

func (f *followSource) next(c *Channel, p *pull) outcome {
	var reset *log.Reset
	if p.items, reset = f.reader.Read(p.items[:0]); reset != nil {
		p.items = append(p.items[:0], hub.ResetEnd()) // a node that was cut off has lost the stream to another, which has less of it
	}
	for i := range p.items {
		item := &p.items[i]
		f.out = f.render(f.out[:0], item)
		for j := range f.out {
			p.add(c.eventFrame(f.out[j].Event, f.out[j].Payload, f.out[j].At))
		}
	}
	if hasEnd(p.items) {
		return feedEnded
	}
	return feedContinues
}

// FollowWhole makes the channel a stream: its entries are the topic's events, as SSE shows them, and the channel stops at the stream's end. Like
// Subscribe it goes on at the join's "after", else begins at the beginning, and tells "recovered" and "position" to those who asked.
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

// streamSource is a stream as a topic of its own.
type streamSource struct {
	reader *log.Reader
	shared bool // its frames are those of every client that keeps up: not where the client knows the stream by another id
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

// maxShared is the longest frame of a stream's text that is kept for other readers: a late one's long catch-up is its own.
const maxShared = 64 << 10

// frame returns the frame of one item, shared by all who keep up; nil for what says nothing on this wire.
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
