package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/rights"
)

// conversation is conversation:ID: questions and answers, the same for all sessions that have joined it. conversation:lobby is the client's
// user's latest conversation, or a new one; its events are those of that conversation's own topic, so no other user's lobby hears them.
//
// A conversation belongs to the user who joined it first, which takes the right to subscribe. Everybody else must have been given it: see
// Table.Guard. All who have joined hear "message" (each question, but not its own client), "response" with the whole answer, or "error" or
// "processing_cancelled", "conversation_reset", "context_updated", "typing" of others, and the engine's "status_update". These are events of
// the topic: a join with "after" brings what was missed, "typing" and "status_update" excepted. Who asked gets the answer piece by piece
// besides ("response_chunk"); others may by "follow", as may who asked and was cut off. The answer is a stream like any other, made to its
// end whether or not anybody is there.
type conversation struct{ talks *conversations }

// conversationJoin are a join's own params. They count for a new conversation.
type conversationJoin struct {
	Title    string          `json:"title"`
	Metadata json.RawMessage `json:"metadata"`
}

const (
	longestTitle    = 200      // characters
	longestMetadata = 4 << 10  // bytes
	longestContext  = 16 << 10 // bytes
)

func (k conversation) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	if err := hub.ValidTopic(c.Topic()); err != nil {
		return nil, err
	}
	fresh, err := readConversationJoin(params)
	if err != nil {
		return nil, err
	}
	fresh.Owner = c.User()
	id := strings.TrimPrefix(c.Topic(), conversationPrefix)
	if c.Topic() == lobbyTopic {
		if id, err = k.talks.lobby(c.User()); err != nil {
			return nil, err
		}
	}
	t, created, err := k.enter(ctx, c, id, fresh)
	if err != nil {
		return nil, err
	}
	h := &conversationHandler{c: c, talk: t}
	if err := h.greet(created); err != nil {
		t.release()
		return nil, err
	}
	return h, nil
}

// greet subscribes the conversation's events, and tells what it is.
func (h *conversationHandler) greet(created bool) error {
	if err := h.c.Subscribe(h.talk.topic); err != nil {
		return err
	}
	r, err := h.talk.snapshot()
	if err != nil {
		return err
	}
	h.c.Set("conversation_id", r.ID)
	h.c.Set("session_id", r.Session)
	h.c.Set("created", created)
	h.c.Set("messages", len(r.Messages))
	if r.Title != "" {
		h.c.Set("title", r.Title)
	}
	if r.Metadata != nil {
		h.c.Set("metadata", r.Metadata)
	}
	if r.Running != nil { // it may be followed
		h.c.Set("running", map[string]string{"message_id": r.Running.Message, "stream": r.Running.Stream})
		h.talk.lookAfter(h.c.Hub(), h.c.Logger(), r.Running.Stream)
	}
	return nil
}

// readConversationJoin reads the params of a join. Those that are no object have nothing to say.
func readConversationJoin(params json.RawMessage) (r record, err error) {
	var p conversationJoin
	err = json.Unmarshal(params, &p)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "title":
		return r, errs.Invalid("title", "must be a string; got %s", kind.Value)
	case utf8.RuneCountInString(p.Title) > longestTitle:
		return r, errs.Invalid("title", "must be at most %d characters long", longestTitle)
	case jsonw.IsNull(p.Metadata):
	case p.Metadata[0] != '{':
		return r, errs.Invalid("metadata", "must be an object")
	case len(p.Metadata) > longestMetadata:
		return r, errs.Invalid("metadata", "must be at most %d bytes long", longestMetadata)
	default:
		r.Metadata = bytes.Clone(p.Metadata)
	}
	r.Title = p.Title
	return r, nil
}

// enter enters a conversation for a client who may.
func (k conversation) enter(ctx context.Context, c *socket.Channel, id string, fresh record) (*talk, bool, error) {
	if err := mayJoin(ctx, c); err != nil {
		return nil, false, err
	}
	t, created, err := k.talks.enter(id, fresh)
	if err == nil && t.owner != c.User() { // somebody else may have begun it meanwhile
		if err = mayJoin(ctx, c); err != nil {
			t.release()
		}
	}
	return t, created, err
}

// mayJoin asks whether a client may hear of the conversation that its topic is about. Whose it is is Table.Guard's to know.
func mayJoin(ctx context.Context, c *socket.Channel) error {
	err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe)
	if errors.Is(err, errs.ErrForbidden) {
		return socket.Refuse("unauthorized")
	}
	return err
}
