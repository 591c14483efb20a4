package channels

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Events that the server publishes on a conversation's topic.
const (
	eventQuestion  = "message"
	eventResponse  = "response"
	eventError     = "error"
	eventCancelled = "processing_cancelled"
	eventReset     = "conversation_reset"
	eventContext   = "context_updated"
)

// conversationEvents encodes what happens in a conversation as RubberDuck's events. It implements
// conversation.Vocabulary.
type conversationEvents struct{ hub *hub.Hub }

// Question implements Vocabulary.
func (conversationEvents) Question(q *conversation.Message) hub.EventInput {
	b := openAnswer(q.ID, q.Metadata.Stream)
	b = jsonw.AppendString(append(b, `,"role":"user","content":`...), q.Content)
	b = jsonw.AppendString(append(b, `,"user_id":`...), q.Metadata.User)
	return hub.EventInput{Event: eventQuestion, Payload: append(b, '}')}
}

// response is the event of a complete answer. RubberDuck classifies conversations; here there is only one class.
type response struct {
	Query            string         `json:"query"`
	Response         string         `json:"response"`
	ConversationType string         `json:"conversation_type"`
	RoutedTo         string         `json:"routed_to"`
	Timestamp        string         `json:"timestamp"`
	Metadata         map[string]any `json:"metadata"`
	MessageID        string         `json:"message_id"`  // the question's id
	ResponseID       string         `json:"response_id"` // the answer's id, as in "history"
	Stream           string         `json:"stream"`
	Truncated        bool           `json:"truncated,omitempty"` // the stream has the complete answer
}

// Answered implements Vocabulary. An answer that is too long for an event is truncated.
func (w conversationEvents) Answered(e *conversation.Ending) hub.EventInput {
	r := response{
		Query: e.Question.Content, Response: string(e.State.Text), ConversationType: "simple", RoutedTo: "completion",
		Timestamp: now(), Metadata: answerMetadata(e),
		MessageID: e.Question.ID, ResponseID: e.Running.Answer, Stream: e.Running.Stream,
	}
	if longest := w.hub.Limits().MessageBytes; len(encodeJSON(r)) > longest {
		r.Response, r.Truncated = conversation.CutText(e.State.Text, longest/8) // JSON may escape one byte as six
	}
	return event(eventResponse, r)
}

func answerMetadata(e *conversation.Ending) map[string]any {
	meta := map[string]any{"processing_time": elapsed(e.State)}
	putText(meta, "model_used", e.State.Info.Model)
	putText(meta, "provider", e.Running.Model.Provider)
	putText(meta, "finish_reason", e.State.Ending.FinishReason)
	if e.State.Ending.Usage != nil {
		meta["usage"] = e.State.Ending.Usage
	}
	return meta
}

// elapsed returns how long the answer took, in milliseconds.
func elapsed(st *hub.StreamState) int64 {
	end := st.Timings.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return end.Sub(st.Timings.Created).Milliseconds()
}

func putText(m map[string]any, name, text string) {
	if text != "" {
		m[name] = text
	}
}

// cancelled is the payload of processing_cancelled.
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

// nothingCancelled returns the payload for a client when there was nothing to cancel.
func nothingCancelled(user string) *cancelled {
	return &cancelled{
		Message: "Nothing was being processed", CancelledBy: user, Reason: "cancelled",
		Metadata: map[string]any{}, Timestamp: now(),
	}
}

// Cancelled implements Vocabulary.
func (conversationEvents) Cancelled(e *conversation.Ending) hub.EventInput {
	c := &cancelled{
		Message: "Processing was cancelled", TasksCancelled: 1, Metadata: map[string]any{}, Timestamp: now(),
		CancelledBy: e.State.Account.EndedBy, Reason: string(e.State.Status), SupersededBy: e.Running.By,
		MessageID: e.Question.ID, Stream: e.Running.Stream,
	}
	if e.State.Status == hub.StatusSuperseded {
		c.Message = "Processing was cancelled: a newer message took its place"
	}
	return event(eventCancelled, c)
}

// Failed implements Vocabulary.
func (conversationEvents) Failed(e *conversation.Ending) hub.EventInput {
	f := failureOf(e.State.Ending.Error)
	f.MessageID, f.Stream = e.Question.ID, e.Running.Stream
	return event(eventError, f)
}

// progressTexts are the category and text of the status update of each stage.
var progressTexts = map[conversation.Stage]struct{ category, text string }{
	conversation.StageStarted:   {"engine", "Processing started"},
	conversation.StageText:      {"progress", "The answer has begun"},
	conversation.StageDone:      {"engine", "Processing completed"},
	conversation.StageCancelled: {"engine", "Processing cancelled"},
	conversation.StageFailed:    {"error", ""},
}

// Progress implements Vocabulary.
func (conversationEvents) Progress(p *conversation.Progress) hub.EventInput {
	words := progressTexts[p.Stage]
	if p.Stage == conversation.StageFailed {
		words.text = failureOf(p.Error).Message
	}
	meta := encodeJSON(map[string]string{"message_id": p.Question.ID, "stream": p.Question.Metadata.Stream})
	return event(statusEvent, statusUpdate{words.category, words.text, meta, now()})
}

// Reset implements Vocabulary.
func (conversationEvents) Reset(r *conversation.Record) hub.EventInput {
	return event(eventReset, map[string]string{"session_id": r.SessionID, "timestamp": now()})
}

// ContextChanged implements Vocabulary.
func (conversationEvents) ContextChanged(r *conversation.Record) hub.EventInput {
	return event(eventContext, map[string]any{"context": r.Context, "timestamp": now()})
}

func event(name string, payload any) hub.EventInput {
	return hub.EventInput{Event: name, Payload: encodeJSON(payload)}
}

// encodeJSON encodes a value that always encodes, without HTML escapes.
func encodeJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // a programming error
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
