package channels

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/rights"
)

// eventPresence is the event of track and untrack: {"type": "presence", "event", "payload"}.
const eventPresence = "presence"

// metaDuckwire is the member of a meta in which the server says who it is of. The key of a presence does not: any
// client that may be present chooses its own.
const metaDuckwire = "_duckwire"

// watchPresence sends the client who is present.
func (h *realtimeHandler) watchPresence() error {
	if h.watching {
		return nil
	}
	h.watching = true
	return h.c.WatchPresence()
}

// presence handles track and untrack.
func (h *realtimeHandler) presence(ctx context.Context, m *socket.Message) error {
	var p struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	switch strings.ToLower(p.Event) {
	case "track":
		if err := h.track(ctx, p.Payload); err != nil {
			return err
		}
	case "untrack":
		h.tracked = false
		h.c.Untrack()
	default:
		return errs.Invalid("event", "must be track or untrack; got %.40q", p.Event)
	}
	m.Reply(nil)
	return nil
}

// track makes the client present with a meta, or replaces its meta. The client then also sees the others.
func (h *realtimeHandler) track(ctx context.Context, payload json.RawMessage) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPresence); err != nil {
		return err
	}
	meta := map[string]json.RawMessage{}
	if !jsonw.IsNull(payload) {
		if payload[0] != '{' {
			return errs.Invalid("payload", "must be an object: what the others see of this client")
		}
		if err := json.Unmarshal(payload, &meta); err != nil {
			return errs.Invalid("payload", "%v", err)
		}
	}
	meta[metaDuckwire] = encodeJSON(map[string]string{"user": h.c.User()})
	if err := h.watchPresence(); err != nil {
		return err
	}
	if h.tracked {
		return h.c.UpdatePresence(meta)
	}
	if err := h.c.TrackAs(h.key, meta); err != nil {
		return err
	}
	h.tracked = true
	return nil
}
