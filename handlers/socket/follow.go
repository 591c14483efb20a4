package socket

import (
	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// A Renderer appends the events of one item of a stream to dst. The goroutine that writes calls it. The same item must
// always give the same number of events without Outgoing.At: a client that is cut between them gets the others later.
type Renderer func(dst []Outgoing, item *log.Item) []Outgoing

// Following is a stream that a channel follows for its client.
type Following struct {
	Stream *hub.Stream
	Render Renderer
	// Begin is called once before the first entry, by the goroutine that writes. It returns the event that tells the
	// client that its stream begins; Event "" sends none. What Begin pushes and replies is sent after that event, and
	// before the first entry's. nil: the entries follow at once.
	Begin func() Outgoing
	// Transient means that positions do not mention the stream, because a later join could not go on with it: its
	// result is a reply, for example.
	Transient bool
}

// Follow pushes a stream's entries to this client: all entries after p, then new ones, until the stream's end or
// log.Reset.End. If *log.Reset is not nil, the entries after p are not available; the client gets all from Reset.From.
//
// From Begin's event on, the positions that the client gets say how far it is in the stream, too, until the last event
// of its end. If its connection is cut, Unfinished tells the Kind of the next join. The client counts as a watcher
// while it follows. Follow does not check whether it may read the stream. Errors: *errs.LimitError if the channel
// follows log.MaxPlaces streams; errs.ErrUnavailable.
func (c *Channel) Follow(f Following, p log.Position) (*log.Reset, error) {
	return c.follow(&followSource{Following: f}, p)
}

// Unfinished returns the streams that the client followed when it lost its connection, and how far it has got in each.
// The client says so: whether it may read them, and whether they exist, is not checked. The Kind calls it in Join,
// after Subscribe, and then Continue for each one that it goes on with. The client's position does not mention the
// others any longer.
func (c *Channel) Unfinished() []log.Place { return c.unfinished }

// Continue is Follow for a stream that the client followed before, within Join. Begin is not called. If entries are
// missing, the reply to the join says so, as for the topic's.
func (c *Channel) Continue(f Following, from log.Place) error {
	f.Begin = nil
	c.places.Streams = append(c.places.Streams, from)
	reset, err := c.follow(&followSource{Following: f, sent: from.Sent}, from.At)
	if reset != nil {
		c.setRecovered(reset)
	}
	return err
}

// Lost tells the client in the reply to the join that something of what it followed is gone.
func (c *Channel) Lost() { c.setRecovered(&log.Reset{Reason: log.ResetEpoch}) }

// Positions reports whether the client gets positions, so that it can resume: its join had "after".
func (c *Channel) Positions() bool { return c.positions }

func (c *Channel) follow(f *followSource, p log.Position) (*log.Reset, error) {
	if err := f.Stream.CatchUp(p); err != nil {
		return nil, err
	}
	var reset *log.Reset
	err := c.newFeed(func(w log.Waker) (source, error) {
		if c.countFeeds() > log.MaxPlaces {
			return nil, &errs.LimitError{
				Kind: errs.ErrLimited, Name: "streams that one channel follows", Limit: log.MaxPlaces,
			}
		}
		f.wake = w
		f.reader, reset = f.Stream.Watch(p, w)
		return f, nil
	})
	return reset, err
}

// countFeeds returns the number of the channel's readers.
func (c *Channel) countFeeds() int {
	c.socket.mu.Lock()
	defer c.socket.mu.Unlock()
	return len(c.feeds)
}

// followSource is the source of a stream's entries, encoded by the channel's Kind.
type followSource struct {
	Following
	reader *log.Reader
	wake   log.Waker
	sent   int // events of the next item that the client has
	begun  bool
	out    []Outgoing
}

func (f *followSource) close() { f.reader.Close() }

func (f *followSource) next(c *Channel, p *pull) outcome {
	if !f.begun {
		f.begun = true
		if f.begin(c, p) {
			f.wake.Signal() // the entries come after what Begin replied, which is in the first lane
			return feedContinues
		}
	}
	var reset *log.Reset
	if p.items, reset = f.reader.Read(p.items[:0]); reset != nil {
		// A partitioned node lost the stream to another node, whose copy is shorter.
		p.items = append(p.items[:0], hub.ResetEnd())
	}
	for i := range p.items {
		f.push(c, p, &p.items[i])
	}
	if hasEnd(p.items) {
		return feedEnded
	}
	return feedContinues
}

// begin tells the client that the stream begins, and notes its place. It reports false if there was nothing to say.
func (f *followSource) begin(c *Channel, p *pull) bool {
	if !f.Transient && c.places.Find(f.Stream.ID) == nil { // else Continue has noted it
		c.places.Streams = append(c.places.Streams, log.Place{Stream: f.Stream.ID, At: f.reader.Start()})
	}
	if f.Begin == nil {
		return false
	}
	if out := f.Begin(); out.Event != "" {
		p.add(c.eventFrame(out.Event, out.Payload, c.placesRef()))
	}
	return true
}

// push adds the frames of one item. The ref of the last one says that the client has the item; those before it say how
// many events of it the client has. Events that have a position in the topic do not count.
func (f *followSource) push(c *Channel, p *pull, item *log.Item) {
	f.out = f.Render(f.out[:0], item)
	left := 0
	for i := range f.out {
		if f.out[i].At.Epoch == "" {
			left++
		}
	}
	sent, had := 0, f.sent
	f.sent = 0
	f.advance(c, item, had, left)
	for i := range f.out {
		out := &f.out[i]
		if out.At.Epoch != "" {
			p.add(c.outgoingFrame(out, c.topicRef(out.At)))
			continue
		}
		sent, left = sent+1, left-1
		f.advance(c, item, max(sent, had), left)
		if sent > had {
			p.add(c.outgoingFrame(out, c.placesRef()))
		}
	}
}

// advance notes that the client has got some of an item's events, or all of them. After the end it has no place in the
// stream any longer.
func (f *followSource) advance(c *Channel, item *log.Item, sent, left int) {
	at := c.places.Find(f.Stream.ID)
	switch {
	case at == nil:
	case left > 0:
		at.Sent = sent
	case isEnd(item):
		c.places.Remove(f.Stream.ID)
	default:
		*at = log.Place{Stream: f.Stream.ID, At: log.Position{Epoch: f.reader.Epoch(), Offset: item.To}}
	}
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
		c.setRecovered(reset)
		c.setPosition(r.Start().Append(nil))
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
	return len(items) > 0 && isEnd(&items[len(items)-1])
}

func isEnd(item *log.Item) bool { return item.Event != nil && item.Event.Kind == log.EndEvent }

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
	ref := c.positionRef(log.Position{Epoch: t.reader.Epoch(), Offset: item.To})
	f := seal(phoenix.AppendText(frameBuffer(len(data)), c.socket.version, nil, ref, c.topic, name, data), opText)
	if t.shared && len(f) <= maxShared {
		item.Put(slot, f)
	}
	return f
}
