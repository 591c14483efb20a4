package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// code is code:project:ID, code:file:ID and, by plain rules with the same vocabulary, any other code:… topic: what editors share while they
// work on code, and what they ask of a model. Both generations of RubberDuck's vocabulary are served (rubberduck-channels.md 2 and 11).
type code struct{}

// codeJoin are a join's own params.
type codeJoin struct {
	Cursor json.RawMessage `json:"cursor_position"`
}

func (code) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	scope, id := scopeOf(c.Topic())
	if err := enter(ctx, c); err != nil {
		if scope != "" && errors.Is(err, hub.ErrForbidden) {
			return nil, socket.Refuse("Unauthorized access to " + scope)
		}
		return nil, err
	}
	var p codeJoin
	if trimmed := bytes.TrimLeft(params, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(params, &p) != nil {
		return nil, socket.Refuse("Invalid join parameters")
	}
	if len(p.Cursor) > 0 && string(p.Cursor) != "null" {
		if _, err := readCursor("cursor_position", p.Cursor); err != nil {
			return nil, err
		}
	}
	c.Set("status", "joined")
	if scope != "" {
		c.Set(scope+"_id", id)
	}
	// PRESENCE: track {online_at, project_id, cursor_position} here once the hub has it.
	return &codeHandler{publisher: publisher{c}, asks: newAsks(c)}, c.Subscribe(c.Topic())
}

// scopeOf takes a topic KIND:SCOPE:ID apart. scope is "" where it is neither project nor file.
func scopeOf(topic string) (scope, id string) {
	_, rest, _ := strings.Cut(topic, ":")
	scope, id, ok := strings.Cut(rest, ":")
	if !ok || scope != "project" && scope != "file" {
		return "", ""
	}
	return scope, id
}

type codeHandler struct {
	publisher // for every event that is not here
	asks      *asks
}

func (h *codeHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "request_completion":
		return h.asks.requestCompletion(ctx, m)
	case "complete":
		return h.asks.complete(ctx, m)
	case "generate":
		return h.asks.generate(ctx, m)
	case "refactor":
		return h.asks.refactor(ctx, m)
	case "cancel", "cancel_completion", "cancel_analysis":
		return cancel(ctx, h.c, m)
	case "get_status":
		return getStatus(ctx, h.c, m)
	case "cursor_position":
		return h.moveCursor(ctx, m)
	case "code_change":
		return h.changeCode(ctx, m)
	}
	return h.publisher.Handle(ctx, m)
}
