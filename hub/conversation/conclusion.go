package conversation

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Ending describes the end of an answer.
type Ending struct {
	Question *Message
	Running  *Running
	State    *hub.StreamState // of the answer's stream, after its end
}

// conclude stores the answer and publishes its end. It retries until the store can be reached.
func (x *exchange) conclude() {
	s := x.session
	for failures := 1; ; failures++ {
		err := s.withLock(func(r Record) error { return x.concludeLocked(&r) })
		if err == nil {
			return
		}
		gone := errors.Is(err, errs.ErrNotFound) // it expired, and the id belongs to a new conversation
		if gone || !s.service.hub.Background().PauseAfter(failures) {
			s.service.logger.Warn("the end of an answer could not be published",
				"topic", s.topic, "stream", x.question.Metadata.Stream, "error", err)
			return
		}
	}
}

// errOwnerUnreachable means that a running answer of another node cannot be ended.
var errOwnerUnreachable = fmt.Errorf("the node that makes the answer cannot be reached: %w", errs.ErrUnavailable)

// concludeLocked stores the answer and publishes its end, once. The stream must have ended. If a node dies in between,
// another node completes the rest: the record says whether the answer is stored, and events with an id are not
// published twice.
func (x *exchange) concludeLocked(r *Record) error {
	run := r.Running
	if run == nil || run.Stream != x.question.Metadata.Stream {
		return nil // another call has concluded it
	}
	st := x.state()
	if !st.Status.Ended() {
		return errOwnerUnreachable
	}
	if x.session.current == run.Stream {
		x.session.current = ""
	}
	if !run.Stored {
		if err := x.storeAnswerLocked(r, &st); err != nil {
			return err
		}
	}
	if err := x.publishEndLocked(&Ending{&x.question, r.Running, &st}); err != nil {
		return err
	}
	r.Running = nil
	return x.session.saveLocked(r)
}

// state returns the state of the stream. A stream that no node has counts as interrupted.
func (x *exchange) state() hub.StreamState {
	if x.stream != nil {
		return x.stream.State()
	}
	lost := &hub.EndError{Code: "stream_lost", Message: "the answer was lost with the node that made it"}
	return hub.StreamState{Status: hub.StatusInterrupted, Ending: hub.Ending{Error: lost}}
}

// storeAnswerLocked adds the answer, which may be incomplete, to the stored messages.
func (x *exchange) storeAnswerLocked(r *Record, st *hub.StreamState) error {
	run := *r.Running
	run.Stored = true
	without := *r
	without.Running = &run
	next := without
	if m := x.answer(&run, st); m.Content != "" { // models refuse empty messages
		next = next.with(m)
	}
	s := x.session
	err := s.saveLocked(&next)
	if errors.Is(err, errs.ErrLimited) {
		s.service.logger.Warn("an answer is not stored with its conversation",
			"topic", s.topic, "stream", run.Stream, "error", err)
		next = without
		err = s.saveLocked(&next)
	}
	if err == nil {
		*r = next
	}
	return err
}

// answer returns the answer as a message.
func (x *exchange) answer(run *Running, st *hub.StreamState) Message {
	text, cut := CutText(st.Text, maxMessageBytes)
	m := Message{
		ID: run.Answer, Role: roleAssistant, Content: text, CreatedAt: timestamp(),
		Metadata: MessageMetadata{Stream: run.Stream, ReplyTo: x.question.ID, Model: st.Info.Model, Truncated: cut},
	}
	if st.Status != hub.StatusDone {
		m.Metadata.Status = string(st.Status)
	}
	return m
}

// publishEndLocked publishes the end of the answer. Its events have ids, so that they are not published twice.
func (x *exchange) publishEndLocked(e *Ending) error {
	vocabulary := x.session.service.vocabulary
	p := &Progress{Question: e.Question}
	var in hub.EventInput
	switch e.State.Status {
	case hub.StatusDone:
		p.Stage, in = StageDone, vocabulary.Answered(e)
	case hub.StatusCancelled, hub.StatusSuperseded:
		p.Stage, in = StageCancelled, vocabulary.Cancelled(e)
	default:
		p.Stage, p.Error, in = StageFailed, e.State.Ending.Error, vocabulary.Failed(e)
	}
	id := e.Running.Stream + ".end"
	in.ID = id
	if err := x.publish(x.session.topic, in); err != nil {
		return err
	}
	return x.publishProgress(p, id)
}

// CutText cuts a text to at most n bytes, at the boundary of a character, and reports whether it had to.
func CutText(text []byte, n int) (string, bool) {
	if len(text) <= n {
		return string(text), false
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(string(text[:n])), true
}
