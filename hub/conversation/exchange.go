package conversation

import (
	"errors"
	"fmt"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// exchange is a question and its running answer. It does not depend on the client that asked: without any client, the
// answer is still completed and its end published.
type exchange struct {
	session  *Session
	question Message
	stream   *hub.Stream // nil: it was lost with its node
}

func newExchange(s *Session, q *Inquiry) *exchange {
	return &exchange{session: s, question: Message{
		ID: newMessageID(), Role: roleUser, Content: q.Content, CreatedAt: timestamp(),
		Metadata: MessageMetadata{User: q.User, Alias: q.ID, Stream: newStreamID()},
	}}
}

// startLocked stores the question, starts the provider, and publishes the question.
func (x *exchange) startLocked(q *Inquiry, r Record) error {
	s, before, stream := x.session, r, x.question.Metadata.Stream
	r = r.with(x.question)
	r.Running = &Running{Message: x.question.ID, User: q.User, Stream: stream, Model: q.Model, Answer: newMessageID()}
	if err := s.saveLocked(&r); err != nil {
		return err
	}
	if q.Following != nil {
		q.Following(stream)
	}
	if err := x.startProvider(q, &r); err != nil {
		s.restoreLocked(&r, before)
		return err
	}
	s.own, s.current = stream, stream
	s.inBackground(x.report)
	in := s.service.vocabulary.Question(&x.question)
	in.ID, in.Except = stream+".question", q.Client
	if err := x.publish(s.topic, in); err != nil {
		s.service.logger.Warn("a question could not be published", "topic", s.topic, "error", err)
	}
	return nil
}

// ErrNoModel means that this server has no provider of completions.
var ErrNoModel = fmt.Errorf("no model is configured: %w", errs.ErrUnavailable)

// startProvider starts the completion. The question is the record's last message.
func (x *exchange) startProvider(q *Inquiry, r *Record) (err error) {
	req := q.Request
	if err := r.prompt(q.Context, &req); err != nil {
		return err
	}
	spec := hub.StreamSpec{
		ID: x.question.Metadata.Stream, Kind: "completion", Owner: q.User, Key: q.Key,
		ContentType: "text/plain; charset=utf-8",
	}
	if q.Keep != nil {
		spec.Idle = *q.Keep
	}
	x.stream, _, err = x.session.service.hub.Complete(&req, spec, hub.CompletionMeta{Kind: req.Kind, Model: req.Model})
	if errors.Is(err, errs.ErrUnavailable) {
		return ErrNoModel
	}
	return err
}

// report publishes the progress of the answer, and concludes it at its end.
func (x *exchange) report() {
	if !x.await(x.stream.Started()) {
		return
	}
	if !x.stream.State().Timings.Started.IsZero() { // otherwise it ended before it started
		x.progress(StageStarted)
	}
	if x.awaitText() {
		x.progress(StageText)
	}
	if x.await(x.stream.Done()) {
		x.conclude()
	}
}

// await waits for done. It returns false if the hub closes first, which it does after the completions of this node have
// ended.
func (x *exchange) await(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-x.session.service.hub.Background().Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// awaitText waits for the first text. It returns false if the stream ends without text, or the hub closes.
func (x *exchange) awaitText() bool {
	wake := log.NewWake()
	r := x.stream.WatchUncounted(log.Position{}, wake)
	defer r.Close()
	var items []log.Item
	for {
		items, _ = r.Read(items[:0])
		for i := range items {
			if len(items[i].Text) > 0 {
				return true
			}
		}
		if endsStream(items) {
			return false
		}
		select {
		case <-wake.C: // the stream's end signals it as well
		case <-x.session.service.hub.Background().Done():
			return false
		}
	}
}

func endsStream(items []log.Item) bool {
	if len(items) == 0 {
		return false
	}
	ev := items[len(items)-1].Event
	return ev != nil && ev.Kind == log.EndEvent
}

// publish publishes an event about the exchange, also while the hub drains. It returns an error only if another attempt
// may succeed; an event that is refused is logged.
func (x *exchange) publish(topic string, in hub.EventInput) error {
	service := x.session.service
	_, err := service.hub.Conclude(topic, x.question.Metadata.User, []hub.EventInput{in})
	if errors.Is(err, errs.ErrUnavailable) {
		return err
	}
	if err != nil {
		service.logger.Warn("an event of a conversation was refused", "topic", topic, "event", in.Event, "error", err)
	}
	return nil
}
