package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/rights"
)

// conversationKind is the kind of conversation:ID: questions and answers, shared by all sessions that have joined.
// conversation:lobby is the latest conversation of the client's user, or a new one. Its events are on that
// conversation's own topic, so no other user's lobby receives them.
//
// A conversation belongs to the user who joined it first, which takes the right to subscribe. Other users need an
// explicit right: see Service.Guard. All joined clients receive "message" (each question, except its own client),
// "response" with the whole answer, or "error" or "processing_cancelled", "conversation_reset", "context_updated",
// "typing" of others, and the engine's "status_update". These are events of the topic: a join with "after" receives
// missed ones, except "typing" and "status_update". The client that asked also receives the answer piece by piece
// ("response_chunk"); any client may request that with "follow". The answer is an ordinary stream, and is completed
// even if nobody is connected.
type conversationKind struct{ service *conversation.Service }

func (k conversationKind) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	if err := hub.ValidTopic(c.Topic()); err != nil {
		return nil, err
	}
	entry, err := readConversationJoin(params)
	if err != nil {
		return nil, err
	}
	entry.User = c.User()
	s, created, err := k.service.Enter(c.Topic(), entry, func() error { return mayJoin(ctx, c) })
	if err != nil {
		return nil, err
	}
	h := &conversationHandler{c: c, session: s}
	if err := h.sendState(created); err != nil {
		s.Release()
		return nil, err
	}
	return h, nil
}

// sendState subscribes to the conversation's events, and adds its state to the join's reply.
func (h *conversationHandler) sendState(created bool) error {
	if err := h.c.Subscribe(h.session.Topic()); err != nil {
		return err
	}
	if err := h.goOn(); err != nil {
		return err
	}
	r, err := h.session.Record()
	if err != nil {
		return err
	}
	h.c.Set("conversation_id", r.ID)
	h.c.Set("session_id", r.SessionID)
	h.c.Set("created", created)
	h.c.Set("messages", len(r.Messages))
	if r.Title != "" {
		h.c.Set("title", r.Title)
	}
	if r.Metadata != nil {
		h.c.Set("metadata", r.Metadata)
	}
	if r.Running != nil { // the client may follow it
		h.c.Set("running", map[string]string{"message_id": r.Running.Message, "stream": r.Running.Stream})
		h.session.LookAfter()
	}
	return nil
}

// readConversationJoin parses the join's parameters. Parameters that are not an object are ignored.
func readConversationJoin(params json.RawMessage) (e conversation.Entry, err error) {
	var p struct {
		Title    string          `json:"title"`
		Metadata json.RawMessage `json:"metadata"`
	}
	var kind *json.UnmarshalTypeError
	if err := json.Unmarshal(params, &p); errors.As(err, &kind) && kind.Field == "title" {
		return e, errs.Invalid("title", "must be a string; got %s", kind.Value)
	}
	e.Title = p.Title
	if !jsonw.IsNull(p.Metadata) {
		e.Metadata = bytes.Clone(p.Metadata)
	}
	return e, nil
}

// mayJoin checks the right to subscribe to the channel's topic. Service.Guard adds the rules of who owns a
// conversation.
func mayJoin(ctx context.Context, c *socket.Channel) error {
	err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe)
	if errors.Is(err, errs.ErrForbidden) {
		return socket.RefuseAs("forbidden", "unauthorized")
	}
	return err
}
