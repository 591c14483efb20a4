package channels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// requestCompletion starts a completion at the cursor, and pushes its text in chunks.
func (a *completions) requestCompletion(ctx context.Context, m *socket.Message) error {
	var p struct {
		modelParams
		Code     *string         `json:"code"`
		Cursor   json.RawMessage `json:"cursor_position"`
		FileType string          `json:"file_type"`
	}
	if err := p.decode(m, &p); err != nil {
		return err
	}
	if p.Code == nil {
		return errs.Invalid("code", "is missing")
	}
	at, err := coding.ReadCursor("cursor_position", p.Cursor)
	if err != nil {
		return err
	}
	prefix, suffix := at.Split(*p.Code)
	req, err := p.request(hub.TextCompletion, fimBody(prefix, suffix))
	if err != nil {
		return err
	}
	return a.stream(ctx, m, &p.modelParams, req, &asked{Event: m.Event})
}

// fimBody returns the body of a request for the text between a prefix and a suffix.
func fimBody(prefix, suffix string) map[string]any {
	body := map[string]any{"prompt": prefix}
	if suffix != "" {
		body["suffix"] = suffix
	}
	return body
}

var requestCompletionEvents = completionEvents{
	done: "completion_done", failed: "completion_error",
	result: func(p map[string]any, _ *hub.Stream, e *streamEnd) {
		p["result"] = map[string]any{"status": "completed", "finish_reason": e.FinishReason}
	},
}

// unreadReplyTime is how long a completion whose result is a reply continues after its client has left. It is short,
// because nobody can get the reply any more.
const unreadReplyTime = time.Second

// complete replies with suggestions at the completion's end. The goroutine that writes to the client sends the reply,
// so the channel's other messages do not wait for it.
func (a *completions) complete(ctx context.Context, m *socket.Message) error {
	var p struct {
		modelParams
		Prefix   string          `json:"prefix"`
		Suffix   string          `json:"suffix"`
		Cursor   json.RawMessage `json:"cursor_position"` // not used: prefix and suffix imply it
		FilePath string          `json:"file_path"`
		Language string          `json:"language"`
	}
	if err := p.decode(m, &p); err != nil {
		return err
	}
	req, err := p.request(hub.TextCompletion, fimBody(p.Prefix, p.Suffix))
	if err != nil {
		return err
	}
	keep := reconnectTime
	if req.ID == "" {
		keep = unreadReplyTime
	}
	s, err := a.start(ctx, req, keep, &asked{Event: m.Event})
	if err != nil {
		return err
	}
	language := coding.LanguageOf(p.Language, p.FilePath)
	render := func(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
		if item.Event != nil && item.Event.Kind == log.EndEvent {
			replySuggestions(m, s, readEnd(item.Event.Data), language)
		}
		return dst
	}
	_, err = a.c.Follow(socket.Following{Stream: s, Render: render, Transient: true}, log.Position{})
	return err
}

// suggestion is one suggestion in the reply to "complete".
type suggestion struct {
	Text        string         `json:"text"`
	Score       float64        `json:"score"` // always 1: the model gives one suggestion without a probability
	Type        string         `json:"type"`
	Description string         `json:"description"`
	Metadata    map[string]any `json:"metadata"`
}

// replySuggestions replies to "complete" with the stream's result.
func replySuggestions(m *socket.Message, s *hub.Stream, e *streamEnd, language string) {
	if e.Status != hub.StatusDone {
		m.ReplyStatus("error", map[string]any{
			"id": answerID(s), "request_id": s.ID, "completion_id": s.ID, "error": e.text(), "reason": e.Error.Code,
		})
		return
	}
	list := []suggestion{}
	if st := s.State(); len(st.Text) > 0 {
		list = append(list, suggestion{
			Text: string(st.Text), Score: 1, Type: "completion", Description: "by " + st.Info.Model,
			Metadata: map[string]any{
				"model": st.Info.Model, "language": language, "finish_reason": e.FinishReason, "usage": e.Usage,
			},
		})
	}
	m.Reply(map[string]any{"id": answerID(s), "request_id": s.ID, "completion_id": s.ID, "suggestions": list})
}
