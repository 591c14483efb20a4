package channels

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// longestQuestion is RubberDuck's limit of a message, in characters.
const longestQuestion = 4000

const contentRequired = "Message content is required"

// questionPayload is the payload of "message". Beside RubberDuck's members it may hold those of every event that asks a model: id, after,
// keep, options. Of llm_config the model goes on, and the provider is told in the answer's metadata: the server has one provider, and
// what the client leaves out is that provider's own default.
type questionPayload struct {
	ask
	Content *string                    `json:"content"`
	Context map[string]json.RawMessage `json:"context"`
	LLM     struct {
		Provider    string          `json:"provider"`
		Model       string          `json:"model"`
		Temperature json.RawMessage `json:"temperature"`
		MaxTokens   json.RawMessage `json:"max_tokens"`
	} `json:"llm_config"`
}

// asking is the reply to a question.
type asking struct {
	Message   string `json:"message_id"`
	Stream    string `json:"stream"`
	Duplicate bool   `json:"duplicate,omitempty"` // it was asked before, and is not asked again
	resumed
}

// message asks a question, and has its answer told.
func (h *conversationHandler) message(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionComplete); err != nil {
		return err
	}
	var p questionPayload
	if err := m.Decode(&p); err != nil {
		return err
	}
	q, err := h.inquiry(&p)
	if err != nil {
		return err
	}
	after, err := p.position()
	if err != nil {
		return err
	}
	following := ""
	u, asked, again, err := h.talk.ask(h.c, q, func(stream string) {
		following = stream
		h.answers.expect(stream)
	})
	switch {
	case err != nil:
		h.answers.forget(following)
		return err
	case again:
		return h.resume(m, asking{Message: asked.ID, Stream: asked.Metadata.Stream, Duplicate: true}, &p.ask, after)
	}
	m.Reply(asking{Message: asked.ID, Stream: u.stream.ID})
	h.c.Push("thinking", map[string]string{"message_id": asked.ID, "stream": u.stream.ID})
	return h.answers.follow(h.c, u.stream, asked.ID, log.Position{})
}

// inquiry checks a question, before it ends the one that is being answered.
func (h *conversationHandler) inquiry(p *questionPayload) (*inquiry, error) {
	if p.Content == nil || strings.TrimSpace(*p.Content) == "" {
		return nil, errs.Invalid("content", contentRequired)
	}
	if n := utf8.RuneCountInString(*p.Content); n > longestQuestion {
		return nil, errs.Invalid("content", "has %d characters; at most %d are allowed", n, longestQuestion)
	}
	if err := checkContext(p.Context); err != nil {
		return nil, err
	}
	if err := p.checkTemperature(); err != nil {
		return nil, err
	}
	r, err := h.talk.snapshot()
	if err != nil {
		return nil, err
	}
	model := r.Model
	if p.LLM.Model != "" || p.LLM.Provider != "" {
		model = preference{Provider: p.LLM.Provider, Model: p.LLM.Model}
	}
	req, err := p.request(*p.Content, model.Model)
	if err != nil {
		return nil, err
	}
	return &inquiry{content: *p.Content, context: p.Context, model: model, req: req}, nil
}

// request makes the model's request, its messages still without those that came before.
func (p *questionPayload) request(content, model string) (*openai.Request, error) {
	body := map[string]any{"messages": []map[string]string{{"role": "user", "content": content}}}
	if model != "" {
		body["model"] = model
	}
	put(body, "temperature", p.LLM.Temperature)
	put(body, "max_tokens", p.LLM.MaxTokens)
	req, err := p.ask.request(hub.ChatCompletion, body)
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

// follow has an answer of the conversation told piece by piece, from where the client says.
func (h *conversationHandler) follow(m *socket.Message) error {
	var p struct {
		ask
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
	r, err := h.talk.snapshot()
	if err != nil {
		return err
	}
	for i := range r.Messages {
		q := &r.Messages[i]
		if q.Role == "user" && (q.ID == p.Message || q.Metadata.Stream == p.Stream) {
			return h.resume(m, asking{Message: q.ID, Stream: q.Metadata.Stream}, &p.ask, after)
		}
	}
	return errs.ErrNotFound
}

// resume has the rest of an answer told. One whose stream is no longer kept has its end on the topic and in the history.
func (h *conversationHandler) resume(m *socket.Message, reply asking, p *ask, after log.Position) error {
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
	m.Reply(reply)
	if !h.answers.expect(s.ID) { // it is being told
		return nil
	}
	return h.answers.follow(h.c, s, reply.Message, after)
}

// setPreference says which model the conversation's questions go to, unless they say otherwise.
func (h *conversationHandler) setPreference(ctx context.Context, m *socket.Message) error {
	if err := h.may(ctx, rights.ActionPublish); err != nil {
		return err
	}
	var p preference
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Model == "" {
		return errs.Invalid("model", "is missing")
	}
	if len(p.Model) > longestTitle || len(p.Provider) > longestTitle {
		return errs.Invalid("model", "and provider must be at most %d bytes long", longestTitle)
	}
	err := h.talk.change(func(r *record) error {
		r.Model = p
		return nil
	}, func(*record) error { return nil })
	if err != nil {
		return err
	}
	m.Reply(p)
	return nil
}

// cancelProcessing ends the answer that is being made. Its end is published to all; where there is none, the client alone is told so.
func (h *conversationHandler) cancelProcessing(ctx context.Context, m *socket.Message) error {
	if err := h.mayCancel(ctx); err != nil {
		return err
	}
	n, err := h.talk.cancel(h.c.Hub(), h.c.Logger(), h.c.User())
	if err != nil {
		return err
	}
	m.Reply(map[string]int{"tasks_cancelled": n})
	if n == 0 {
		h.c.Push("processing_cancelled", &cancelled{
			Message: "Nothing was being processed", CancelledBy: h.c.User(), Reason: "cancelled", Metadata: map[string]any{}, Timestamp: now(),
		})
	}
	return nil
}

// mayCancel allows who asked the question, and the conversation's owner; both need the right to complete. Others must be admins.
func (h *conversationHandler) mayCancel(ctx context.Context) error {
	r, err := h.talk.snapshot()
	if err != nil {
		return err
	}
	user := h.c.User()
	if user == h.talk.owner || r.Running == nil || r.Running.User == user {
		return h.may(ctx, rights.ActionComplete)
	}
	return h.may(ctx, rights.ActionAdmin)
}
