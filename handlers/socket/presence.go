package socket

import (
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Track makes the client present on the channel's topic under its user, with meta, which must encode as a JSON object; "online_at" is added.
// It belongs into Join, with WatchPresence before it. A client that breaks off is kept for the server's grace, and taken up again when it
// joins again; one that leaves is gone at once. Errors are hub.Track's. Whether the client may is not asked.
func (c *Channel) Track(meta any) error {
	return c.track(func(client string) (*hub.Presence, error) {
		return c.Hub().TrackOnline(c.topic, c.User(), client, encode(meta))
	})
}

// TrackAs is Track under a key of the Kind's own choice, with nothing but meta.
func (c *Channel) TrackAs(key string, meta any) error {
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

// UpdatePresence replaces the meta of what Track began. Errors are hub.Presence.Update's.
func (c *Channel) UpdatePresence(meta any) error {
	if p := c.takePresence(false); p != nil {
		return p.Update(encode(meta))
	}
	return nil
}

// Untrack ends what Track began.
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

// endPresence lets the presence of a channel that has ended go: at once, or after the grace where the client will be back.
func (c *Channel) endPresence(how ending) {
	p := c.takePresence(true)
	if p == nil {
		return
	}
	switch how {
	case endBroken, endCrashed, endReplaced:
		p.Drop(c.socket.server.PresenceGrace)
	case endClosed: // in good order; but who asked for positions means to go on
		if c.positions {
			p.Drop(c.socket.server.PresenceGrace)
			return
		}
		p.Leave()
	default:
		p.Leave()
	}
}

// WatchPresence has the client told who is present on the channel's topic: presence_state after the reply to the join, then each presence_diff.
// It belongs into Join. Whether the client may is not asked.
func (c *Channel) WatchPresence() error {
	c.watching = true
	return c.newFeed(func(w log.Waker) (source, error) {
		r, err := c.Hub().SubscribePresence(c.topic, w)
		if err != nil {
			return nil, err
		}
		return &presenceSource{r}, nil
	})
}

// pushPresenceState pushes the state that a joining client needs, also where nobody is there: until it has come, the official client keeps
// every diff back. It is what holds after the client's own Track, and its reader began before that: diffs that it contains change nothing.
func (c *Channel) pushPresenceState() {
	if c.watching {
		c.Push(hub.PresenceState, json.RawMessage(c.Hub().Presences(c.topic)))
	}
}

// presenceSource is the changes of who is present.
type presenceSource struct{ reader *hub.PresenceReader }

func (t *presenceSource) close() { t.reader.Close() }

func (t *presenceSource) next(c *Channel, p *pull) outcome {
	var lost bool
	if p.items, lost = t.reader.Read(p.items[:0]); lost { // too far behind for single changes
		p.items = p.items[:0]
		p.add(c.eventFrame(hub.PresenceState, t.reader.State(), log.Position{}))
		return feedContinues
	}
	for i := range p.items {
		p.add(t.frame(c, &p.items[i]))
	}
	return feedContinues
}

// frame returns the frame of one change, shared by all who keep up.
func (t *presenceSource) frame(c *Channel, item *log.Item) frame {
	if c.socket.version == phoenix.V2 {
		if b := item.Get(formatFrame); b != nil {
			return b
		}
	}
	payload := item.Event.Payload()
	f := seal(phoenix.AppendText(frameBuffer(len(payload)), c.socket.version, nil, nil, c.topic, hub.PresenceDiff, payload), opText)
	if c.socket.version == phoenix.V2 {
		item.Put(formatFrame, f)
	}
	return f
}
