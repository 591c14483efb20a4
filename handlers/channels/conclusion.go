package channels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
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

// conclude tells how the answer ended, as soon as the store can be reached.
func (u *turn) conclude() {
	for failures := 1; ; failures++ {
		err := u.talk.alone(func(r record) error { return u.concludeLocked(&r) })
		if err == nil {
			return
		}
		if !u.hub.PauseAfter(failures) {
			u.logger.Warn("how an answer ended is not told", "topic", u.talk.topic, "stream", u.question.Metadata.Stream, "error", err)
			return
		}
	}
}

// errAnswerAway means that an answer cannot be ended.
var errAnswerAway = fmt.Errorf("the node that makes the answer cannot be reached: %w", errs.ErrUnavailable)

// concludeLocked keeps the answer and publishes how it ended, once: where a node has died over it, another does what is left, and what the topic has
// already is not published again. The stream has ended.
func (u *turn) concludeLocked(r *record) error {
	run := r.Running
	if run == nil || run.Stream != u.question.Metadata.Stream {
		return nil // it has been told
	}
	st := u.state()
	if !st.Status.Ended() {
		return errAnswerAway
	}
	if u.talk.current == run.Stream {
		u.talk.current = ""
	}
	if !run.Kept {
		if err := u.keepLocked(r, &st); err != nil {
			return err
		}
	}
	if err := u.tell(run, &st); err != nil {
		return err
	}
	r.Running = nil
	return u.talk.saveLocked(r)
}

// state is how the stream is now. One that is nowhere was lost.
func (u *turn) state() hub.StreamState {
	if u.stream != nil {
		return u.stream.State()
	}
	lost := &hub.EndError{Code: "stream_lost", Message: "the answer was lost with the node that made it"}
	return hub.StreamState{Status: hub.StatusInterrupted, Ending: hub.Ending{Error: lost}}
}

// keepLocked puts the answer, as far as it came, among the messages.
func (u *turn) keepLocked(r *record, st *hub.StreamState) error {
	run := *r.Running
	run.Kept = true
	next := *r
	next.Running = &run
	text, cut := cutText(st.Text, longestKept)
	if text != "" { // models refuse messages without content
		m := chatMessage{
			ID: run.Answer, Role: "assistant", Content: text, CreatedAt: now(),
			Metadata: messageMetadata{Stream: run.Stream, ReplyTo: u.question.ID, Model: st.Info.Model, Truncated: cut},
		}
		if st.Status != hub.StatusDone {
			m.Metadata.Status = string(st.Status)
		}
		next = next.with(m)
	}
	err := u.talk.saveLocked(&next)
	if errors.Is(err, errs.ErrLimited) {
		u.logger.Warn("an answer was not kept in its conversation", "topic", u.talk.topic, "stream", run.Stream, "error", err)
		next = *r
		next.Running = &run
		err = u.talk.saveLocked(&next)
	}
	if err == nil {
		*r = next
	}
	return err
}

// tell publishes how the answer ended.
func (u *turn) tell(run *running, st *hub.StreamState) error {
	category, text := "engine", "Processing completed"
	var err error
	switch st.Status {
	case hub.StatusDone:
		err = u.publishEnd("response", u.response(run, st))
	case hub.StatusCancelled, hub.StatusSuperseded:
		err = u.publishEnd("processing_cancelled", u.cancelled(run, st))
		text = "Processing cancelled"
	default:
		e := failureOf(st.Ending.Error)
		e.MessageID, e.Stream = u.question.ID, run.Stream
		err = u.publishEnd("error", e)
		category, text = "error", e.Message
	}
	if err != nil {
		return err
	}
	return u.publishProgress(category, text, run.Stream+".end")
}

func (u *turn) response(run *running, st *hub.StreamState) response {
	meta := map[string]any{"processing_time": elapsed(st)}
	putText(meta, "model_used", st.Info.Model)
	putText(meta, "provider", u.model.Provider)
	putText(meta, "finish_reason", st.Ending.FinishReason)
	if st.Ending.Usage != nil {
		meta["usage"] = st.Ending.Usage
	}
	r := response{
		Query: u.question.Content, Response: string(st.Text), ConversationType: "simple", RoutedTo: "completion", Timestamp: now(), Metadata: meta,
		MessageID: u.question.ID, ResponseID: run.Answer, Stream: run.Stream,
	}
	limit := u.hub.Limits().MessageBytes
	if len(encodeJSON(r)) > limit {
		r.Response, r.Truncated = cutText(st.Text, limit/8) // JSON may write one byte as six
	}
	return r
}

func (u *turn) cancelled(run *running, st *hub.StreamState) *cancelled {
	c := &cancelled{
		Message: "Processing was cancelled", TasksCancelled: 1, CancelledBy: st.Account.EndedBy, Reason: string(st.Status), Metadata: map[string]any{},
		MessageID: u.question.ID, Stream: run.Stream, Timestamp: now(), SupersededBy: run.By,
	}
	if st.Status == hub.StatusSuperseded {
		c.Message = "Processing was cancelled: a newer message took its place"
	}
	return c
}

// publishEnd publishes the event that ends the turn, under an id: it is not published twice.
func (u *turn) publishEnd(event string, v any) error {
	return u.publish(event, hub.EventInput{ID: u.question.Metadata.Stream + ".end", Payload: encodeJSON(v)})
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
