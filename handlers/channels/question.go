package channels

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// questionPayload is the payload of "message". Besides RubberDuck's members it may have those of every event that calls
// a model: id, after, keep, options. The model in llm_config is passed on. Its provider only appears in the answer's
// metadata, because the server has one provider. Members that the client leaves out have the provider's defaults.
type questionPayload struct {
	modelParams
	Content *string                    `json:"content"`
	Context map[string]json.RawMessage `json:"context"`
	LLM     struct {
		Provider    string          `json:"provider"`
		Model       string          `json:"model"`
		Temperature json.RawMessage `json:"temperature"`
		MaxTokens   json.RawMessage `json:"max_tokens"`
	} `json:"llm_config"`
}

// questionReply is the reply to a question.
type questionReply struct {
	ID        string `json:"id"` // as in the pieces of the answer
	Message   string `json:"message_id"`
	Stream    string `json:"stream"`
	Duplicate bool   `json:"duplicate,omitempty"` // the question was asked before, and is not asked again
	resumed
}

// thinking returns the payload of the event that an answer begins.
func (r *questionReply) thinking() map[string]string {
	return map[string]string{"id": r.ID, "message_id": r.Message, "stream": r.Stream}
}

// message asks a question, and follows its answer.
func (h *conversationHandler) message(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionComplete); err != nil {
		return err
	}
	var p questionPayload
	if err := p.decode(m, &p); err != nil {
		return err
	}
	q, err := h.readInquiry(&p)
	if err != nil {
		return err
	}
	after, err := p.position()
	if err != nil {
		return err
	}
	following := ""
	q.Following = func(stream string) {
		following = stream
		h.order.Expect(stream)
	}
	asked, err := h.session.Ask(q)
	reply := questionReply{
		ID: cmp.Or(q.ID, asked.Message), Message: asked.Message, Stream: asked.StreamID, Duplicate: asked.Duplicate,
	}
	switch {
	case err != nil:
		h.order.Forget(following)
		return err
	case asked.Duplicate:
		return h.resume(m, reply, &p.modelParams, after)
	}
	return h.followAnswer(m, asked.Stream, reply, log.Position{}, true)
}

// followAnswer replies, and pushes an answer from p on. A client that asked now, or that needs a position to resume
// from, is told first that it begins.
func (h *conversationHandler) followAnswer(
	m *socket.Message, s *hub.Stream, reply questionReply, p log.Position, begins bool,
) error {
	a := &answer{s, reply.Message, reply.ID, &h.order}
	_, err := h.c.Follow(socket.Following{Stream: s, Render: a.render, Begin: func() (out socket.Outgoing) {
		m.Reply(reply)
		if begins || h.c.Positions() {
			out = socket.Outgoing{Event: "thinking", Payload: encodeJSON(reply.thinking())}
		}
		return out
	}}, p)
	if err != nil {
		h.order.Forget(s.ID)
	}
	return err
}

// readInquiry parses a question. The question is validated before it supersedes the one being answered.
func (h *conversationHandler) readInquiry(p *questionPayload) (*conversation.Inquiry, error) {
	q := &conversation.Inquiry{
		User: h.c.User(), Key: h.c.Identity().Key(), Client: h.c.Client(), Context: p.Context,
	}
	if p.Content != nil {
		q.Content = *p.Content
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	if err := p.checkTemperature(); err != nil {
		return nil, err
	}
	var err error
	said := conversation.Preference{Provider: p.LLM.Provider, Model: p.LLM.Model}
	if q.Model, err = h.session.Model(said); err != nil {
		return nil, err
	}
	req, err := p.request(q.Content, q.Model.Model)
	if err != nil {
		return nil, err
	}
	q.Request, q.ID, q.Keep = req.CompletionRequest, req.ID, req.Keep
	return q, nil
}

// request returns the model's request, without the earlier messages.
func (p *questionPayload) request(content, model string) (*openai.Request, error) {
	body := oneMessage(content)
	if model != "" {
		body["model"] = model
	}
	put(body, "temperature", p.LLM.Temperature)
	put(body, "max_tokens", p.LLM.MaxTokens)
	req, err := p.modelParams.request(hub.ChatCompletion, body)
	var fault *errs.FieldError
	if errors.As(err, &fault) && fault.Field == "max_tokens" && !jsonw.IsNull(p.LLM.MaxTokens) {
		return nil, &errs.FieldError{Field: "llm_config.max_tokens", Reason: fault.Reason}
	}
	return req, err
}

func (p *questionPayload) checkTemperature() error {
	if jsonw.IsNull(p.LLM.Temperature) {
		return nil
	}
	var t float64
	if json.Unmarshal(p.LLM.Temperature, &t) != nil || t < 0 || t > 2 {
		return errs.Invalid("llm_config.temperature", "must be a number from 0 to 2")
	}
	return nil
}

// follow pushes an answer of the conversation piece by piece, from the client's position on.
func (h *conversationHandler) follow(m *socket.Message) error {
	var p struct {
		modelParams
		Message string `json:"message_id"`
		Stream  string `json:"stream"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	after, err := p.position()
	if err != nil {
		return err
	}
	if p.Message == "" && p.Stream == "" {
		return errs.Invalid("message_id", "is missing; stream will do as well")
	}
	q, err := h.session.Question(p.Message, p.Stream)
	if err != nil {
		return err
	}
	reply := questionReply{ID: cmp.Or(q.Metadata.Alias, q.ID), Message: q.ID, Stream: q.Metadata.Stream}
	return h.resume(m, reply, &p.modelParams, after)
}

// resume pushes the rest of an answer. If its stream was removed, the answer is still in the topic's events and in the
// history.
func (h *conversationHandler) resume(m *socket.Message, reply questionReply, p *modelParams, after log.Position) error {
	s, err := h.c.Hub().Stream(h.c.User(), reply.Stream)
	if err != nil && reply.Duplicate {
		m.Reply(reply)
		return nil
	}
	if err != nil {
		return err
	}
	if reply.resumed, err = resumeOf(s, p, after); err != nil {
		return err
	}
	if !h.order.Expect(s.ID) { // it is followed already
		m.Reply(reply)
		return nil
	}
	return h.followAnswer(m, s, reply, after, false)
}

// setPreference sets the default model for the conversation's questions.
func (h *conversationHandler) setPreference(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	var p conversation.Preference
	if err := m.Decode(&p); err != nil {
		return err
	}
	if err := h.session.Prefer(p); err != nil {
		return err
	}
	m.Reply(p)
	return nil
}

// cancelProcessing cancels the current answer. Its end is published to all clients; if there is none, only this client
// is told.
func (h *conversationHandler) cancelProcessing(ctx context.Context, m *socket.Message) error {
	needed, err := h.session.ActionToCancel(h.c.User())
	if err != nil {
		return err
	}
	if err := h.may(ctx, needed); err != nil {
		return err
	}
	n, err := h.session.Cancel(h.c.User())
	if err != nil {
		return err
	}
	m.Reply(map[string]int{"tasks_cancelled": n})
	if n == 0 {
		h.c.Push(eventCancelled, nothingCancelled(h.c.User()))
	}
	return nil
}
