package channels

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/rights"
)

// moveCursor sends the client's cursor to the others. The event is ephemeral, because old cursors are of no use.
func (h *codeHandler) moveCursor(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	var p struct {
		Position json.RawMessage `json:"position"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	at, err := coding.ReadCursor("position", p.Position)
	if err != nil {
		return err
	}
	payload := appendFrom([]byte{'{'}, h.c.User(), m.Payload)
	in := hub.EventInput{Event: "cursor_update", Payload: payload, Ephemeral: true, Except: h.c.Client()}
	if _, err := h.c.Publish(h.c.Topic(), in); err != nil {
		return err
	}
	h.present.set("cursor_position", at)
	m.Reply(nil)
	return nil
}

// setActivity updates the user's activity in the client's presence: active, idle or typing.
func (h *codeHandler) setActivity(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPresence); err != nil {
		return err
	}
	var p struct {
		State string `json:"state"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	switch p.State {
	case "active", "idle", "typing":
	default:
		return errs.Invalid("state", "must be active, idle or typing")
	}
	h.present.set("state", p.State)
	m.Reply(nil)
	return nil
}

// changeCode publishes a change to the others, in order and resumable: {"changes": …} and any other members. A
// payload that is not an object, or has no "changes", is itself the change; bytes stay bytes.
func (h *codeHandler) changeCode(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	in := hub.EventInput{ID: m.Reserved.ID, Event: "code_updated", Bytes: m.Bytes, Except: h.c.Client()}
	if m.Bytes == nil {
		payload, err := changePayload(h.c.User(), m.Payload)
		if err != nil {
			return err
		}
		in.Payload, in.Content = payload, m.Payload
	}
	err := publish(h.c, m, in)
	var limit *errs.LimitError
	if errors.As(err, &limit) && limit.Kind == errs.ErrTooLarge {
		return &socket.Refusal{Response: map[string]any{
			"reason": "Changes exceed maximum message size", "code": "too_large", "detail": err.Error(), "limit": limit.Limit,
		}}
	}
	return err
}

// changePayload returns the payload of code_updated for a user's change.
func changePayload(user string, sent json.RawMessage) (json.RawMessage, error) {
	var p struct {
		Changes json.RawMessage `json:"changes"`
	}
	if err := json.Unmarshal(sent, &p); err == nil && p.Changes != nil {
		return appendFrom([]byte{'{'}, user, sent), nil
	}
	if s := string(sent); s == "" || s == "null" || s == "{}" {
		return nil, errs.Invalid("changes", "is missing")
	}
	return appendFrom(append(append([]byte(`{"changes":`), sent...), ','), user, nil), nil
}

// appendFrom appends the rest of a payload for the other clients: its user and time, and the client's members except
// those that the server sets.
func appendFrom(b []byte, user string, sent json.RawMessage) json.RawMessage {
	b = jsonw.AppendString(append(b, `"user_id":`...), user)
	for name, value := range jsonw.Members(sent) {
		switch string(name) {
		case "user_id", "timestamp":
		default:
			b = append(jsonw.AppendKey(b, name), value...)
		}
	}
	b = jsonw.AppendString(append(b, `,"timestamp":`...), now())
	return append(b, '}')
}
