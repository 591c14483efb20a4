package channels

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// conversationHandler handles one client's join of a conversation.
type conversationHandler struct {
	c       *socket.Channel
	session *conversation.Session
	order   conversation.AnswerOrder
}

// Left implements socket.Leaver.
func (h *conversationHandler) Left() { h.session.Release() }

// Rewrite implements socket.Rewriter. It delays the event of an answer's end until the answer's pieces have been sent.
func (h *conversationHandler) Rewrite(ev *log.Event) (socket.Outgoing, bool) {
	if ev.Name == eventQuestion {
		h.session.LookAfter()
	}
	return socket.Outgoing{}, h.order.Pass(ev, endOfAnswer)
}

// Handle handles a message. An error is sent both in the reply and as the event that RubberDuck's clients wait for.
func (h *conversationHandler) Handle(ctx context.Context, m *socket.Message) error {
	err := h.handle(ctx, m)
	if err != nil && ctx.Err() == nil {
		h.Refused(m, err)
	}
	return err
}

// Refused implements socket.RefusalObserver.
func (h *conversationHandler) Refused(m *socket.Message, err error) {
	h.c.Push(eventError, refusalOf(m.Event, err))
}

func (h *conversationHandler) handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "message":
		return h.message(ctx, m)
	case "follow":
		return h.follow(m)
	case "cancel_processing":
		return h.cancelProcessing(ctx, m)
	case "get_history":
		return h.getHistory(m)
	case "new_conversation":
		return h.reset(ctx, m)
	case "set_context":
		return h.setContext(ctx, m)
	case "set_llm_preference":
		return h.setPreference(ctx, m)
	case "typing":
		return h.typing(ctx, m)
	}
	return h.publish(ctx, m)
}

// publish publishes any other event on the conversation's own topic, whose name the lobby's clients do not know.
func (h *conversationHandler) publish(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	if err := refuseDurable(m); err != nil {
		return err
	}
	return publishOn(h.session.Topic(), h.c, m, inputOf(m))
}

// may checks the client's right to do a in the conversation.
func (h *conversationHandler) may(ctx context.Context, a rights.Action) error {
	return h.c.Authorize(ctx, h.c.Topic(), a)
}

// typing publishes whether the client is typing, to the other clients.
func (h *conversationHandler) typing(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	var p struct {
		Typing *bool `json:"typing"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Typing == nil {
		return errs.Invalid("typing", "is missing")
	}
	payload := encodeJSON(map[string]any{"user_id": h.c.User(), "typing": *p.Typing, "timestamp": now()})
	in := hub.EventInput{Event: "typing", Payload: payload, Ephemeral: true, Except: h.c.Client()}
	if _, err := h.c.Publish(h.session.Topic(), in); err != nil {
		return err
	}
	m.Reply(nil)
	return nil
}

// history is the payload of the event "history".
type history struct {
	Conversation string                 `json:"conversation_id"`
	Messages     []conversation.Message `json:"messages"` // oldest first
	Count        int                    `json:"count"`
}

// getHistory pushes the newest messages.
func (h *conversationHandler) getHistory(m *socket.Message) error {
	p := struct {
		Limit *int `json:"limit"`
	}{}
	if err := m.Decode(&p); err != nil {
		return err
	}
	limit := 100
	if p.Limit != nil {
		limit = *p.Limit
	}
	if limit < 1 {
		return errs.Invalid("limit", "must be a whole number from 1 on")
	}
	r, err := h.session.Record()
	if err != nil {
		return err
	}
	list := r.Last(limit)
	if list == nil {
		list = []conversation.Message{}
	}
	m.Reply(map[string]int{"count": len(list)})
	h.c.Push("history", history{r.ID, list, len(list)})
	return nil
}

// reset clears the conversation for all its sessions.
func (h *conversationHandler) reset(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	id, err := h.session.Reset(h.c.User())
	if err != nil {
		return err
	}
	m.Reply(map[string]string{"session_id": id})
	return nil
}

// setContext merges the client's members into the conversation's context.
func (h *conversationHandler) setContext(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	var p struct {
		Context map[string]json.RawMessage `json:"context"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Context == nil {
		return errs.Invalid("context", "is missing; it must be an object")
	}
	if err := h.session.MergeContext(h.c.User(), p.Context); err != nil {
		return err
	}
	m.Reply(nil)
	return nil
}
