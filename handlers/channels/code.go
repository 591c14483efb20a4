package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// code is the kind of code:project:ID, code:file:ID and, by plain rules with the same events, any other code:… topic.
// Editors share edits and presence on it, and request completions. It supports both generations of RubberDuck's events
// (github.com/pcharbon70/rubber_duck, lib/rubber_duck_web/channels/code_channel.ex).
type code struct{ begin startAnalysis }

// codeJoin are the join parameters of this kind.
type codeJoin struct {
	Cursor json.RawMessage `json:"cursor_position"`
}

func (k code) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	scope, id := scopeOf(c.Topic())
	if err := enter(ctx, c); err != nil {
		if scope != "" && errors.Is(err, errs.ErrForbidden) {
			return nil, socket.RefuseAs("forbidden", "Unauthorized access to "+scope)
		}
		return nil, err
	}
	var p codeJoin
	trimmed := bytes.TrimLeft(params, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(params, &p) != nil {
		return nil, socket.RefuseAs("invalid", "Invalid join parameters")
	}
	meta := map[string]any{} // online_at is added
	if !jsonw.IsNull(p.Cursor) {
		at, err := coding.ReadCursor("cursor_position", p.Cursor)
		if err != nil {
			return nil, err
		}
		meta["cursor_position"] = at
	}
	c.Set("status", "joined")
	if scope != "" {
		c.Set(scope+"_id", id)
		meta[scope+"_id"] = id
	}
	if err := c.Subscribe(c.Topic()); err != nil {
		return nil, err
	}
	h := &codeHandler{
		publisher: publisher{c}, completions: newCompletions(c),
		analyses: newAnalyses(c, k.begin, codeChannelAnalyses),
	}
	if err := goOn(c, h.goOn); err != nil {
		return nil, err
	}
	shown, err := trackPresence(ctx, c, meta) // last: the others do not see whom the join refuses
	if err != nil {
		return nil, err
	}
	h.present = shown
	return h, nil
}

// codeChannelAnalyses tells how the commands for analyses on code:* are answered.
var codeChannelAnalyses = map[string]analysisEvents{
	"request_analysis": codeChannelEvents("analysis_result"),
	"analyze":          codeChannelEvents("analysis_complete"),
}

// scopeOf parses a topic KIND:SCOPE:ID. scope is "" if it is neither project nor file.
func scopeOf(topic string) (scope, id string) {
	_, rest, _ := strings.Cut(topic, ":")
	scope, id, ok := strings.Cut(rest, ":")
	if !ok || scope != "project" && scope != "file" {
		return "", ""
	}
	return scope, id
}

type codeHandler struct {
	publisher   // handles all other events
	completions *completions
	analyses    *analyses
	present     *presenceMeta
}

// Left implements socket.Leaver.
func (h *codeHandler) Left() { h.present.end() }

// goOn continues what the client asked for before its connection was cut.
func (h *codeHandler) goOn(s *hub.Stream, from log.Place) error {
	if s.Kind == analysisKind {
		return h.analyses.goOn(s, from)
	}
	return h.completions.goOn(s, from)
}

func (h *codeHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "request_completion":
		return h.completions.requestCompletion(ctx, m)
	case "complete":
		return h.completions.complete(ctx, m)
	case "generate":
		return h.completions.generate(ctx, m)
	case "refactor":
		return h.completions.refactor(ctx, m)
	case "request_analysis", "analyze":
		return h.analyses.ofCode(ctx, m)
	case "cancel", "cancel_completion", "cancel_analysis":
		return cancel(ctx, h.c, m)
	case "get_status":
		return getStatus(ctx, h.c, m)
	case "cursor_position":
		return h.moveCursor(ctx, m)
	case "code_change":
		return h.changeCode(ctx, m)
	case "activity":
		return h.setActivity(ctx, m)
	}
	return h.publisher.Handle(ctx, m)
}
