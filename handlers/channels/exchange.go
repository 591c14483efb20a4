package channels

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// turn is one question and the answer that is being made. It does not depend on who asked: it ends, and is told, when nobody is there.
type turn struct {
	talk     *talk
	hub      *hub.Hub
	logger   *slog.Logger
	question chatMessage
	model    preference
	stream   *hub.Stream // nil: it was lost with the node that made it
}

// inquiry is a question as a client asks it.
type inquiry struct {
	content string
	context map[string]json.RawMessage // for this question, beside the conversation's
	model   preference
	req     *openai.Request // all but its messages
}

// ask puts a question, which ends the one whose answer is still under way: loudly. One that the same user has put under the same id is not
// asked twice: again is true, and the turn is nil. following is called with the stream before anything is published about it.
func (t *talk) ask(c *socket.Channel, q *inquiry, following func(stream string)) (u *turn, m *chatMessage, again bool, err error) {
	err = t.alone(func(r record) error {
		if q.req.ID != "" {
			if m = r.find(c.User(), q.req.ID); m != nil && m.Metadata.Stream != "" {
				again = true
				return nil
			}
		}
		u = newTurn(t, c, q)
		m = &u.question
		if err := t.supersedeLocked(c, &r, m.ID); err != nil {
			return err
		}
		return u.startLocked(c, q, r, following)
	})
	if err != nil || again {
		return nil, m, again, err
	}
	return u, m, false, nil
}

func newTurn(t *talk, c *socket.Channel, q *inquiry) *turn {
	return &turn{talk: t, hub: c.Hub(), logger: c.Logger(), model: q.model, question: chatMessage{
		ID: "msg_" + ulid.Make().String(), Role: "user", Content: q.content, CreatedAt: now(),
		Metadata: messageMetadata{User: c.User(), Alias: q.req.ID, Stream: "cmp_" + ulid.Make().String()},
	}}
}

// supersedeLocked ends the answer that is under way, on this node or another, in favour of a message.
func (t *talk) supersedeLocked(c *socket.Channel, r *record, by string) error {
	if r.Running == nil {
		return nil
	}
	u, err := t.turn(c.Hub(), c.Logger(), r)
	if err != nil {
		return err
	}
	run := *r.Running
	run.By, r.Running = by, &run
	if err := t.saveLocked(r); err != nil { // whoever tells of the end knows of it
		return err
	}
	if u.stream != nil {
		u.stream.Supersede(c.User())
	}
	return u.concludeLocked(r)
}

// startLocked keeps the question, has the provider begin, and tells the others.
func (u *turn) startLocked(c *socket.Channel, q *inquiry, r record, following func(stream string)) error {
	t, before, stream := u.talk, r, u.question.Metadata.Stream
	r = r.with(u.question)
	r.Running = &running{Message: u.question.ID, User: c.User(), Stream: stream, Model: u.model, Answer: "msg_" + ulid.Make().String()}
	if err := t.saveLocked(&r); err != nil {
		return err
	}
	following(stream)
	if err := u.begin(q, &r, c.User()); err != nil {
		t.restoreLocked(&r, before)
		return err
	}
	t.current = stream
	t.attend(u.hub, stream, u.attend)
	if err := u.publish("message", hub.EventInput{ID: stream + ".question", Payload: u.questionJSON(), Except: c.Client()}); err != nil {
		u.logger.Warn("a question is not told to the others", "topic", t.topic, "error", err)
	}
	return nil
}

// begin has the provider begin. The question is the last of the record's messages.
func (u *turn) begin(q *inquiry, r *record, user string) (err error) {
	req := q.req
	req.Messages = r.prompt(q.context)
	if req.Body["messages"], err = encodeMessages(req.Messages); err != nil {
		return err
	}
	spec := hub.StreamSpec{
		ID: u.question.Metadata.Stream, Kind: "completion", Owner: user, ContentType: "text/plain; charset=utf-8",
	}
	if req.Keep != nil {
		spec.Keep = *req.Keep
	}
	u.stream, _, err = u.hub.Complete(&req.CompletionRequest, spec, hub.CompletionMeta{Kind: req.Kind, Model: req.Model})
	if errors.Is(err, hub.ErrUnavailable) {
		return errNoModel
	}
	return err
}

// prompt is what the model gets: what is known of the conversation, and the newest messages.
func (r *record) prompt(extra map[string]json.RawMessage) []hub.Message {
	known := mergeContext(r.Context, extra)
	var list []hub.Message
	if len(known) > 0 {
		text, _ := json.Marshal(known) // of JSON values
		list = append(list, hub.Message{Role: "system", Content: "The context of this conversation, as JSON:\n" + string(text)})
	}
	for _, m := range r.last(askedMessages) {
		list = append(list, hub.Message{Role: m.Role, Content: m.Content})
	}
	return list
}

func encodeMessages(list []hub.Message) (json.RawMessage, error) {
	out := make([]map[string]string, len(list))
	for i, m := range list {
		out[i] = map[string]string{"role": m.Role, "content": m.Content}
	}
	return json.Marshal(out)
}

// attend tells how the answer gets on, and at last what it is.
func (u *turn) attend() {
	if !u.await(u.stream.Started()) {
		return
	}
	if !u.stream.State().Timings.Started.IsZero() { // it may have ended before
		u.progress("engine", "Processing started")
	}
	if u.awaitText() {
		u.progress("progress", "The answer has begun")
	}
	if u.await(u.stream.Done()) {
		u.conclude()
	}
}

// await waits, and reports false where the hub closes first: what it runs itself ends before that.
func (u *turn) await(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-u.hub.Closing():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// awaitText waits for the first text, and reports false where the stream ended without any.
func (u *turn) awaitText() bool {
	wake := hub.NewWake()
	r := u.stream.Listen(hub.Position{}, wake)
	defer r.Close()
	var items []hub.Item
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
		case <-wake.C: // at the latest with the stream's end
		case <-u.hub.Closing():
			return false
		}
	}
}

func endsStream(items []hub.Item) bool {
	if len(items) == 0 {
		return false
	}
	ev := items[len(items)-1].Event
	return ev != nil && ev.Kind == hub.EndEvent
}

// publish publishes an event of the conversation, on its topic. What is refused for good is an error in the log, and no more.
func (u *turn) publish(event string, in hub.EventInput) error {
	in.Event = event
	return u.publishTo(u.talk.topic, in)
}

func (u *turn) publishTo(topic string, in hub.EventInput) error {
	_, err := u.hub.Conclude(topic, u.question.Metadata.User, []hub.EventInput{in})
	if errors.Is(err, hub.ErrUnavailable) {
		return err
	}
	if err != nil {
		u.logger.Warn("an event of a conversation was refused", "topic", topic, "event", in.Event, "error", err)
	}
	return nil
}

// questionJSON is the question as the others hear it.
func (u *turn) questionJSON() json.RawMessage {
	b := u.open()
	b = jsonw.AppendString(append(b, `,"role":"user","content":`...), u.question.Content)
	b = jsonw.AppendString(append(b, `,"user_id":`...), u.question.Metadata.User)
	return append(b, '}')
}

// open begins a payload about the turn.
func (u *turn) open() []byte { return openAnswer(u.question.ID, u.question.Metadata.Stream) }

func openAnswer(message, stream string) []byte {
	b := jsonw.AppendString(append(make([]byte, 0, 512), `{"message_id":`...), message)
	b = jsonw.AppendString(append(b, `,"stream":`...), stream)
	return jsonw.AppendString(append(b, `,"timestamp":`...), now())
}

// elapsed is how long the answer took, in milliseconds.
func elapsed(st *hub.StreamState) int64 {
	end := st.Timings.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return end.Sub(st.Timings.Created).Milliseconds()
}
