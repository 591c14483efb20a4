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
	stream   *hub.Stream

	told bool   // guarded by talk.mu: its end is published
	by   string // guarded by talk.mu: the message that superseded it
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.req.ID != "" {
		if m := t.record.find(c.User(), q.req.ID); m != nil && m.Metadata.Stream != "" {
			return nil, m, true, nil
		}
	}
	u = &turn{talk: t, hub: c.Hub(), logger: c.Logger(), model: q.model, question: chatMessage{
		ID: "msg_" + ulid.Make().String(), Role: "user", Content: q.content, CreatedAt: now(),
		Metadata: messageMetadata{User: c.User(), Alias: q.req.ID, Stream: "cmp_" + ulid.Make().String()},
	}}
	if t.running != nil {
		t.running.by = u.question.ID
		t.running.stream.Supersede(c.User())
		t.running.concludeLocked()
	}
	before := t.record
	if err := t.saveLocked(t.record.with(u.question)); err != nil {
		return nil, nil, false, err
	}
	following(u.question.Metadata.Stream)
	if err := u.begin(q, c.User()); err != nil {
		_ = t.saveLocked(before)
		return nil, nil, false, err
	}
	t.running = u
	u.publish("message", hub.EventInput{Payload: u.questionJSON(), Except: c.Client()})
	t.hold()
	u.hub.Go(u.attend)
	return u, &u.question, false, nil
}

// begin has the provider begin. talk.mu is held, and the question is the last of the record's messages.
func (u *turn) begin(q *inquiry, user string) (err error) {
	req := q.req
	req.Messages = u.talk.record.prompt(q.context)
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
	defer u.talk.release()
	<-u.stream.Started()
	if !u.stream.State().Timings.Started.IsZero() { // it may have ended before
		u.progress("engine", "Processing started")
	}
	if u.awaitText() {
		u.progress("progress", "The answer has begun")
	}
	<-u.stream.Done()
	u.talk.mu.Lock()
	defer u.talk.mu.Unlock()
	u.concludeLocked()
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
		<-wake.C // at the latest with the stream's end
	}
}

func endsStream(items []hub.Item) bool {
	if len(items) == 0 {
		return false
	}
	ev := items[len(items)-1].Event
	return ev != nil && ev.Kind == hub.EndEvent
}

// publish publishes an event of the conversation, on its topic.
func (u *turn) publish(event string, in hub.EventInput) {
	in.Event = event
	if err := publishTo(u.hub, u.talk.topic, u.question.Metadata.User, in); err != nil {
		u.logger.Warn("an event of a conversation was refused", "topic", u.talk.topic, "event", event, "error", err)
	}
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
