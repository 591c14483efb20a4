package conversation

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Ending is how an answer ended.
type Ending struct {
	Question *Message
	Running  *Running
	State    *hub.StreamState // of the answer's stream, which has ended
}

// conclude tells how the answer ended, as soon as the store can be reached.
func (x *exchange) conclude() {
	s := x.session
	for failures := 1; ; failures++ {
		err := s.alone(func(r Record) error { return x.concludeLocked(&r) })
		if err == nil {
			return
		}
		forgotten := errors.Is(err, errs.ErrNotFound) // and begun anew by somebody else
		if forgotten || !s.service.hub.Background().PauseAfter(failures) {
			s.service.logger.Warn("how an answer ended is not told",
				"topic", s.topic, "stream", x.question.Metadata.Stream, "error", err)
			return
		}
	}
}

// errAnswerAway means that an answer cannot be ended.
var errAnswerAway = fmt.Errorf("the node that makes the answer cannot be reached: %w", errs.ErrUnavailable)

// concludeLocked stores the answer and publishes how it ended, once. Where a node has died in the middle of that,
// another does what is left; what the topic has already is not published again. The stream has ended.
func (x *exchange) concludeLocked(r *Record) error {
	run := r.Running
	if run == nil || run.Stream != x.question.Metadata.Stream {
		return nil // it has been told
	}
	st := x.state()
	if !st.Status.Ended() {
		return errAnswerAway
	}
	if x.session.current == run.Stream {
		x.session.current = ""
	}
	if !run.Stored {
		if err := x.storeLocked(r, &st); err != nil {
			return err
		}
	}
	if err := x.tellLocked(&Ending{&x.question, r.Running, &st}); err != nil {
		return err
	}
	r.Running = nil
	return x.session.saveLocked(r)
}

// state is how the stream is now. One that is nowhere was lost.
func (x *exchange) state() hub.StreamState {
	if x.stream != nil {
		return x.stream.State()
	}
	lost := &hub.EndError{Code: "stream_lost", Message: "the answer was lost with the node that made it"}
	return hub.StreamState{Status: hub.StatusInterrupted, Ending: hub.Ending{Error: lost}}
}

// storeLocked puts the answer, as far as it came, among the messages.
func (x *exchange) storeLocked(r *Record, st *hub.StreamState) error {
	run := *r.Running
	run.Stored = true
	without := *r
	without.Running = &run
	next := without
	if m := x.answer(&run, st); m.Content != "" { // models refuse messages without content
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

// answer is the answer as a message.
func (x *exchange) answer(run *Running, st *hub.StreamState) Message {
	text, cut := CutText(st.Text, longestMessage)
	m := Message{
		ID: run.Answer, Role: roleAssistant, Content: text, CreatedAt: timestamp(),
		Metadata: MessageMetadata{Stream: run.Stream, ReplyTo: x.question.ID, Model: st.Info.Model, Truncated: cut},
	}
	if st.Status != hub.StatusDone {
		m.Metadata.Status = string(st.Status)
	}
	return m
}

// tellLocked publishes how the answer ended, under ids: it is not published twice.
func (x *exchange) tellLocked(e *Ending) error {
	words := x.session.service.words
	p := &Progress{Question: e.Question}
	var in hub.EventInput
	switch e.State.Status {
	case hub.StatusDone:
		p.Stage, in = StageDone, words.Answered(e)
	case hub.StatusCancelled, hub.StatusSuperseded:
		p.Stage, in = StageCancelled, words.Cancelled(e)
	default:
		p.Stage, p.Error, in = StageFailed, e.State.Ending.Error, words.Failed(e)
	}
	id := e.Running.Stream + ".end"
	in.ID = id
	if err := x.publish(x.session.topic, in); err != nil {
		return err
	}
	return x.publishProgress(p, id)
}

// CutText returns at most n bytes of a text, whole characters of them, and whether that is not all.
func CutText(text []byte, n int) (string, bool) {
	if len(text) <= n {
		return string(text), false
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(string(text[:n])), true
}
