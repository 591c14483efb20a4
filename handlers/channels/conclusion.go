package channels

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub"
)

// response is the event of a whole answer. RubberDuck names what kind of conversation an engine took it for; there is one kind here.
type response struct {
	Query            string         `json:"query"`
	Response         string         `json:"response"`
	ConversationType string         `json:"conversation_type"`
	RoutedTo         string         `json:"routed_to"`
	Timestamp        string         `json:"timestamp"`
	Metadata         map[string]any `json:"metadata"`
	MessageID        string         `json:"message_id"`  // of the question
	ResponseID       string         `json:"response_id"` // of the answer, as in "history"
	Stream           string         `json:"stream"`
	Truncated        bool           `json:"truncated,omitempty"` // the stream has it whole
}

// cancelled is processing_cancelled, in its one shape.
type cancelled struct {
	Message        string         `json:"message"`
	TasksCancelled int            `json:"tasks_cancelled"`
	CancelledBy    string         `json:"cancelled_by"` // a user, or "unwatched"
	Reason         string         `json:"reason"`       // cancelled or superseded
	SupersededBy   string         `json:"superseded_by,omitempty"`
	Metadata       map[string]any `json:"metadata"`
	MessageID      string         `json:"message_id,omitempty"`
	Stream         string         `json:"stream,omitempty"`
	Timestamp      string         `json:"timestamp"`
}

// concludeLocked keeps the answer and publishes how it ended, once. The stream has ended, and talk.mu is held.
func (u *turn) concludeLocked() {
	if u.told {
		return
	}
	u.told = true
	if u.talk.running == u {
		u.talk.running = nil
	}
	st := u.stream.State()
	answer := u.keepLocked(&st)
	switch st.Status {
	case hub.StatusDone:
		u.publishResponse(&st, answer)
		u.publishProgress("engine", "Processing completed")
	case hub.StatusCancelled, hub.StatusSuperseded:
		u.publishJSON("processing_cancelled", u.cancelled(&st))
		u.publishProgress("engine", "Processing cancelled")
	default:
		e := failureOf(st.Ending.Error)
		e.MessageID, e.Stream = u.question.ID, u.stream.ID
		u.publishJSON("error", e)
		u.publishProgress("error", e.Message)
	}
}

// keepLocked puts the answer, as far as it came, among the messages, and returns it.
func (u *turn) keepLocked(st *hub.StreamState) *chatMessage {
	text, cut := cutText(st.Text, longestKept)
	m := &chatMessage{
		ID: "msg_" + ulid.Make().String(), Role: "assistant", Content: text, CreatedAt: now(),
		Metadata: messageMetadata{Stream: u.stream.ID, ReplyTo: u.question.ID, Model: st.Info.Model, Truncated: cut},
	}
	if st.Status != hub.StatusDone {
		m.Metadata.Status = string(st.Status)
	}
	if text == "" { // models refuse messages without content
		return m
	}
	if err := u.talk.saveLocked(u.talk.record.with(*m)); err != nil {
		u.logger.Warn("an answer was not kept in its conversation", "topic", u.talk.topic, "stream", u.stream.ID, "error", err)
	}
	return m
}

func (u *turn) publishResponse(st *hub.StreamState, m *chatMessage) {
	meta := map[string]any{"processing_time": elapsed(st)}
	putText(meta, "model_used", st.Info.Model)
	putText(meta, "provider", u.model.Provider)
	putText(meta, "finish_reason", st.Ending.FinishReason)
	if st.Ending.Usage != nil {
		meta["usage"] = st.Ending.Usage
	}
	r := response{
		Query: u.question.Content, Response: string(st.Text), ConversationType: "simple", RoutedTo: "completion", Timestamp: now(), Metadata: meta,
		MessageID: u.question.ID, ResponseID: m.ID, Stream: u.stream.ID,
	}
	limit := u.hub.Limits().MessageBytes
	if len(encodeJSON(r)) > limit {
		r.Response, r.Truncated = cutText(st.Text, limit/8) // JSON may write one byte as six
	}
	u.publishJSON("response", r)
}

func (u *turn) cancelled(st *hub.StreamState) *cancelled {
	c := &cancelled{
		Message: "Processing was cancelled", TasksCancelled: 1, CancelledBy: st.Account.EndedBy, Reason: string(st.Status), Metadata: map[string]any{},
		MessageID: u.question.ID, Stream: u.stream.ID, Timestamp: now(), SupersededBy: u.by,
	}
	if st.Status == hub.StatusSuperseded {
		c.Message = "Processing was cancelled: a newer message took its place"
	}
	return c
}

func (u *turn) publishJSON(event string, v any) {
	u.publish(event, hub.EventInput{Payload: encodeJSON(v)})
}

func putText(m map[string]any, name, text string) {
	if text != "" {
		m[name] = text
	}
}

// cutText returns at most n bytes of a text, whole characters of them, and whether that is not all.
func cutText(text []byte, n int) (string, bool) {
	if len(text) <= n {
		return string(text), false
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(string(text[:n])), true
}

// encodeJSON encodes what is known to be encodable, without escapes for HTML.
func encodeJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // our own types
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
