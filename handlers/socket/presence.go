package socket

import (
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Track makes the client present on the channel's topic under its user, with meta, which must encode as a JSON object;
// "online_at" is added. Call it within Join, after WatchPresence. If the connection is lost, the presence remains for
// PresenceGrace, and is reused if the client joins again; if the client leaves, the presence ends at once. Errors are
// hub.Track's. Track does not check the client's rights.
func (c *Channel) Track(meta any) error {
	return c.track(func(client string) (*hub.Presence, error) {
		return c.Hub().TrackOnline(c.topic, c.User(), client, encode(meta))
	})
}

// TrackAs is Track under a key that the Kind chooses, without "online_at". It may be called after the join. If the key
// is Client's and the client has not named itself, nobody returns to it, and the presence ends with the connection.
func (c *Channel) TrackAs(key string, meta any) error {
	c.fleeting = !c.named && key == c.client
	return c.track(func(client string) (*hub.Presence, error) { return c.Hub().Track(c.topic, key, client, encode(meta)) })
}

func (c *Channel) track(begin func(client string) (*hub.Presence, error)) error {
	client := ""
	if c.named {
		client = c.client
	}
	p, err := begin(client)
	if err != nil {
		return err
	}
	s := c.socket
	s.mu.Lock()
	over := c.state == ended
	if !over {
		c.presence = p
	}
	s.mu.Unlock()
	if over {
		p.Leave()
		return errs.ErrClosed
	}
	return nil
}

// UpdatePresence replaces the meta of the presence that Track started. Errors are hub.Presence.Update's.
func (c *Channel) UpdatePresence(meta any) error {
	if p := c.takePresence(false); p != nil {
		return p.Update(encode(meta))
	}
	return nil
}

// Untrack ends the presence that Track started.
func (c *Channel) Untrack() {
	if p := c.takePresence(true); p != nil {
		p.Leave()
	}
}

// takePresence returns the client's presence, or nil.
func (c *Channel) takePresence(remove bool) *hub.Presence {
	s := c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.presence
	if remove {
		c.presence = nil
	}
	return p
}

// endPresence ends the presence of a channel that has ended: at once, or after PresenceGrace if the client is expected
// to return.
func (c *Channel) endPresence(how ending) {
	p := c.takePresence(true)
	if p == nil {
		return
	}
	switch how {
	case endBroken, endCrashed, endReplaced:
		if c.fleeting {
			p.Leave()
			return
		}
		p.Drop(c.socket.server.PresenceGrace)
	case endClosed: // a client that asked for positions intends to resume
		if c.positions {
			p.Drop(c.socket.server.PresenceGrace)
			return
		}
		p.Leave()
	default:
		p.Leave()
	}
}

// WatchPresence sends the client who is present on the channel's topic: presence_state after the reply to the join,
// then every presence_diff. Call it within Join or Handle, once. It does not check the client's rights.
func (c *Channel) WatchPresence() error {
	c.watching = true
	err := c.newFeed(func(w log.Waker) (source, error) {
		r, err := c.Hub().SubscribePresence(c.topic, w)
		if err != nil {
			return nil, err
		}
		return &presenceSource{r}, nil
	})
	if err == nil && c.handler != nil { // the join's own push of the state is over
		c.pushPresenceState()
	}
	return err
}

// pushPresenceState pushes the presence state to a joining client, even if nobody is present: until it arrives, the
// official client does not apply diffs. The state includes the client's own Track. The reader of diffs was opened
// before, so it may repeat diffs that the state contains, which is harmless.
func (c *Channel) pushPresenceState() {
	if c.watching {
		c.Push(hub.PresenceState, json.RawMessage(c.Hub().Presences(c.topic)))
	}
}

// presenceSource is the source of presence changes.
type presenceSource struct{ reader *hub.PresenceReader }

func (t *presenceSource) close() { t.reader.Close() }

func (t *presenceSource) next(c *Channel, p *pull) outcome {
	var lost bool
	if p.items, lost = t.reader.Read(p.items[:0]); lost { // the reader fell behind: send the whole state
		p.items = p.items[:0]
		p.add(c.eventFrame(hub.PresenceState, t.reader.State(), nil))
		return feedContinues
	}
	for i := range p.items {
		p.add(t.frame(c, &p.items[i]))
	}
	return feedContinues
}

// frame returns the frame of one change, shared by all readers at the tail.
func (t *presenceSource) frame(c *Channel, item *log.Item) frame {
	if c.socket.version == phoenix.V2 {
		if b := item.Get(formatFrame); b != nil {
			return b
		}
	}
	payload := item.Event.Payload()
	buf := frameBuffer(len(payload))
	f := seal(phoenix.AppendText(buf, c.socket.version, nil, nil, c.topic, hub.PresenceDiff, payload), opText)
	if c.socket.version == phoenix.V2 {
		item.Put(formatFrame, f)
	}
	return f
}
