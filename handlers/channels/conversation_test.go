package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

const chat = "conversation:c-1"

// chatCaps are the capabilities of a user of conversations: their patterns match only the user's own.
var chatCaps = []string{"conversation:*=subscribe,publish,complete", "status:*=subscribe,publish,presence"}

// answering is a provider whose completions the test answers one by one.
type answering struct{ asked chan *pending }

// pending is a completion that waits for its pieces.
type pending struct {
	req    *hub.CompletionRequest
	pieces chan string // closing it ends the answer successfully
	fail   chan error
	gone   chan struct{} // closed when it was stopped
}

func newAnswering() *answering { return &answering{asked: make(chan *pending, 8)} }

func (a *answering) provider() scripted {
	return func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		p := &pending{req: req, pieces: make(chan string), fail: make(chan error), gone: make(chan struct{})}
		w.Accepted()
		w.Describe(hub.CompletionInfo{Model: "m-2"})
		a.asked <- p
		for {
			select {
			case text, ok := <-p.pieces:
				if !ok {
					w.Finish(hub.Finish{Reason: "stop", Usage: json.RawMessage(`{"total_tokens":2}`)})
					return nil
				}
				if err := w.Text(text); err != nil {
					return err
				}
			case err := <-p.fail:
				return err
			case <-ctx.Done():
				close(p.gone)
				return ctx.Err()
			}
		}
	}
}

// say answers the next completion.
func (a *answering) say(pieces ...string) *pending {
	p := <-a.asked
	for _, text := range pieces {
		p.pieces <- text
	}
	close(p.pieces)
	return p
}

// messages returns the messages of a request to the model, in a short form.
func (p *pending) messages() string {
	var list []string
	for _, m := range p.req.Messages {
		list = append(list, m.Role+": "+m.Content)
	}
	return strings.Join(list, "\n")
}

// event returns the payload of the next message of a topic with that event. It skips other events, except those that
// are named.
func (c *client) event(topic, event string) map[string]any {
	c.t.Helper()
	for {
		m := c.next()
		switch {
		case m.Topic == topic && m.Event == event:
			p := object(c.t, m.Payload)
			p["ref"] = m.Ref
			return p
		case m.Event == "phx_reply", m.Event == "thinking", m.Event == "response_chunk", m.Event == "status_update":
		default:
			c.t.Fatalf("got %s %s %s, want %s", m.Topic, m.Event, m.Payload, event)
		}
	}
}

func TestAnswerIsStreamed(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c, other := s.dial("u", chatCaps...), s.dial("u", chatCaps...)
	joined := c.join(chat, `{"title":"Ducks"}`)
	session, _ := joined["session_id"].(string)
	if joined["conversation_id"] != "c-1" || !strings.HasPrefix(session, "session_") || joined["created"] != true ||
		joined["title"] != "Ducks" {
		t.Errorf("joined: %v", joined)
	}
	other.join(chat, `{}`)
	reply := c.ok(
		chat, "message",
		`{"content":"What says the duck?","llm_config":{"provider":"p","model":"m","temperature":0.5,"max_tokens":7}}`,
	)
	id, stream := reply["message_id"], reply["stream"].(string)
	if id == nil || !strings.HasPrefix(stream, "cmp_") {
		t.Fatalf("the reply is %v", reply)
	}
	p := model.say("Quack, ", "<quäck>", " 🦆")
	if p.req.Model != "m" || p.req.MaxTokens != 7 || string(p.req.Body["temperature"]) != "0.5" ||
		p.messages() != "user: What says the duck?" {
		t.Errorf("the provider was asked for %+v", p.req)
	}
	if th := c.event(chat, "thinking"); th["message_id"] != id {
		t.Errorf("thinking: %v", th)
	}
	text, answer := readAnswer(c, chat)
	if text != "Quack, <quäck> 🦆" || answer["response"] != text || answer["query"] != "What says the duck?" ||
		answer["message_id"] != id {
		t.Errorf("pieces %q, answer %v", text, answer)
	}
	if meta, _ := answer["metadata"].(map[string]any); meta["model_used"] != "m-2" || meta["provider"] != "p" ||
		meta["processing_time"] == nil {
		t.Errorf("the metadata are %v", answer["metadata"])
	}
	st, err := s.hub.Stream("u", stream)
	if err != nil || string(st.State().Text) != text || st.Owner != "u" {
		t.Errorf("the stream is %+v, %v", st, err)
	}
	q := other.event(chat, "message")
	if q["content"] != "What says the duck?" || q["user_id"] != "u" || q["stream"] != stream || q["message_id"] != id {
		t.Errorf("the other session heard the question as %v", q)
	}
	if r := other.event(chat, "response"); r["response"] != text {
		t.Errorf("the other session heard the answer as %v", r)
	}
}

// readAnswer reads pieces until the response, which must follow all of them.
func readAnswer(c *client, topic string) (text string, answer map[string]any) {
	c.t.Helper()
	for {
		m := c.next()
		p := object(c.t, m.Payload)
		switch m.Event {
		case "response_chunk":
			if int(p["at"].(float64)) != len(text) || m.Topic != topic {
				c.t.Fatalf("%s behind %d bytes: %s", m.Topic, len(text), m.Payload)
			}
			text += p["chunk"].(string)
		case "response":
			p["ref"] = m.Ref
			return text, p
		case "phx_reply", "thinking", "status_update":
		default:
			c.t.Fatalf("got %s %s", m.Event, m.Payload)
		}
	}
}

// TestTheEndIsBehindTheText sends long answers to a slow client: the end comes after the text, and positions do not
// decrease.
func TestTheEndIsBehindTheText(t *testing.T) {
	const pieces = 400 // more than the connection's buffers hold
	piece := strings.Repeat("quack ", 4000)
	s := start(t, says(strings.Split(strings.Repeat(piece+"|", pieces), "|")...))
	c, other := s.dial("u", chatCaps...), s.dial("u", chatCaps...)
	c.join(chat, `{"after":"now"}`)
	other.join(chat, `{"after":"now"}`)
	c.send(chat, "message", `{"content":"go"}`)
	answer := other.untilEvent("response")
	for range 5 {
		other.ok(chat, "note", `{}`)
	}
	text, ended := readAnswer(c, chat)
	if text != strings.Repeat(piece, pieces) || answer["truncated"] != true ||
		!strings.HasPrefix(text, ended["response"].(string)) {
		t.Errorf("%d bytes of text, ended with %.100v", len(text), ended)
	}
	at := ended["ref"].(string)
	for range 5 {
		m := c.untilMessage("note")
		if m.Ref <= at || len(m.Ref) != len(at) {
			t.Errorf("behind %s comes %s", at, m.Ref)
		}
		at = m.Ref
	}
}

// untilMessage returns the next message with that event.
func (c *client) untilMessage(event string) message {
	c.t.Helper()
	for {
		if m := c.next(); m.Event == event {
			return m
		}
	}
}

func (c *client) untilEvent(event string) map[string]any {
	c.t.Helper()
	return object(c.t, c.untilMessage(event).Payload)
}

func TestConversationRemembers(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	c.ok(chat, "set_context", `{"context":{"language":"go","gone":1}}`)
	if got := c.event(chat, "context_updated"); fmt.Sprint(got["context"]) != "map[gone:1 language:go]" {
		t.Errorf("the context is %v", got)
	}
	c.ok(chat, "set_context", `{"context":{"gone":null}}`)
	c.event(chat, "context_updated")
	c.ok(chat, "message", `{"content":"one"}`)
	model.say("ONE")
	c.event(chat, "response")
	c.ok(chat, "phx_leave", `{}`)

	c = s.dial("u", chatCaps...)
	if joined := c.join(chat, `{}`); joined["created"] != false || joined["messages"] != 2.0 {
		t.Errorf("joined again: %v", joined)
	}
	c.ok(chat, "message", `{"content":"two","context":{"mood":"bright"}}`)
	p := model.say("TWO")
	want := `system: The context of this conversation, as JSON:
{"language":"go","mood":"bright"}
user: one
assistant: ONE
user: two`
	if p.messages() != want {
		t.Errorf("the model was asked\n%s\nwant\n%s", p.messages(), want)
	}
	if body := string(p.req.Body["messages"]); !strings.Contains(body, `{"content":"ONE","role":"assistant"}`) {
		t.Errorf("an upstream gets %s", body)
	}
	c.event(chat, "response")
	c.ok(chat, "get_history", `{"limit":3}`)
	if got := c.event(chat, "history"); got["count"] != 3.0 || contents(got) != "ONE two TWO" ||
		got["conversation_id"] != "c-1" {
		t.Errorf("the history is %v", got)
	}
	if r := c.ok(chat, "new_conversation", `{}`); r["session_id"] == nil ||
		c.event(chat, "conversation_reset")["session_id"] != r["session_id"] {
		t.Errorf("reset: %v", r)
	}
	c.ok(chat, "message", `{"content":"three"}`)
	if p := model.say("THREE"); p.messages() != "user: three" {
		t.Errorf("after a reset the model was asked\n%s", p.messages())
	}
}

func contents(history map[string]any) string {
	var list []string
	for _, m := range history["messages"].([]any) {
		list = append(list, m.(map[string]any)["content"].(string))
	}
	return strings.Join(list, " ")
}

func TestNewerMessageSupersedes(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	first := c.ok(chat, "message", `{"content":"one"}`)
	p := <-model.asked
	p.pieces <- "ON"
	c.event(chat, "response_chunk")
	second := c.ok(chat, "message", `{"content":"two"}`)
	wait(t, p.gone, "the first completion's end")
	ended := c.event(chat, "processing_cancelled")
	if ended["message_id"] != first["message_id"] || ended["reason"] != "superseded" ||
		ended["superseded_by"] != second["message_id"] ||
		ended["cancelled_by"] != "u" || ended["tasks_cancelled"] != 1.0 || ended["metadata"] == nil ||
		ended["timestamp"] == nil {
		t.Errorf("the first ended with %v", ended)
	}
	if q := model.say("TWO"); q.messages() != "user: one\nassistant: ON\nuser: two" {
		t.Errorf("the model was asked\n%s", q.messages())
	}
	if r := c.event(chat, "response"); r["message_id"] != second["message_id"] {
		t.Errorf("the second ended with %v", r)
	}
	if st, err := s.hub.Stream("u", first["stream"].(string)); err != nil || st.Status() != hub.StatusSuperseded {
		t.Errorf("the first stream: %v", err)
	}
}

func TestCancelProcessing(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c, other := s.dial("u", chatCaps...), s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	other.join(chat, `{}`)
	asked := c.ok(chat, "message", `{"content":"one"}`)
	p := <-model.asked
	other.event(chat, "message")
	if r := other.ok(chat, "cancel_processing", `{}`); r["tasks_cancelled"] != 1.0 {
		t.Errorf("the reply is %v", r)
	}
	wait(t, p.gone, "the completion's end")
	for _, c := range []*client{c, other} {
		got := c.event(chat, "processing_cancelled")
		if got["message_id"] != asked["message_id"] || got["reason"] != "cancelled" || got["cancelled_by"] != "u" {
			t.Errorf("cancelled: %v", got)
		}
	}
	if r := c.ok(chat, "cancel_processing", `{}`); r["tasks_cancelled"] != 0.0 {
		t.Errorf("with nothing to cancel: %v", r)
	}
	if got := c.event(chat, "processing_cancelled"); got["tasks_cancelled"] != 0.0 {
		t.Errorf("with nothing to cancel: %v", got)
	}
}

// TestEndsFromElsewhereAreTold: clients are also told of a stream that is cancelled over REST, and of an answer that
// ends while the server drains.
func TestEndsFromElsewhereAreTold(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	stream, err := s.hub.Stream("u", c.ok(chat, "message", `{"content":"one"}`)["stream"].(string))
	if err != nil {
		t.Fatal(err)
	}
	<-model.asked
	stream.Cancel("admin")
	if got := c.event(chat, "processing_cancelled"); got["cancelled_by"] != "admin" || got["stream"] != stream.ID {
		t.Errorf("cancelled: %v", got)
	}
	c.ok(chat, "message", `{"content":"two"}`)
	p := <-model.asked
	draining, drained := log.NewWake(), make(chan struct{})
	defer s.hub.OnDrain(draining)()
	go func() {
		s.hub.Drain(t.Context())
		close(drained)
	}()
	wait(t, draining.C, "the draining")
	p.pieces <- "TWO"
	close(p.pieces)
	if text, r := readAnswer(c, chat); text != "TWO" || r["response"] != "TWO" {
		t.Errorf("while it drains: %q, %v", text, r)
	}
	wait(t, drained, "the end of the draining")
	if status, r := c.ask(chat, "message", `{"content":"three"}`); status != "error" || r["reason"] != "draining" {
		t.Errorf("after it: %s %v", status, r)
	}
}

func TestAnswerThatNobodyWaitedFor(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	position := c.join(chat, `{"after":"now"}`)["position"].(string)
	asked := c.ok(chat, "message", `{"id":"mine","content":"one"}`)
	p := <-model.asked
	p.pieces <- "O"
	chunk := c.event(chat, "response_chunk")
	c.conn.CloseNow()

	c = s.dial("u", chatCaps...)
	if joined := c.join(chat, fmt.Sprintf(`{"after":%q}`, position)); joined["recovered"] != true ||
		fmt.Sprint(joined["running"]) !=
			fmt.Sprintf("map[message_id:%s stream:%s]", asked["message_id"], asked["stream"]) {
		t.Errorf("joined: %v", joined)
	}
	c.event(chat, "message") // the client has another name now, so its question is news
	again := c.ok(chat, "message", fmt.Sprintf(`{"id":"mine","content":"one","after":%q}`, chunk["position"]))
	if again["message_id"] != asked["message_id"] || again["duplicate"] != true || again["recovered"] != true {
		t.Errorf("asked again: %v", again)
	}
	p.pieces <- "NE"
	if rest := c.event(chat, "response_chunk"); rest["chunk"] != "NE" || rest["at"] != 1.0 {
		t.Errorf("the rest is %v", rest)
	}
	c.conn.CloseNow()
	close(p.pieces)
	stream, _ := s.hub.Stream("u", asked["stream"].(string))
	wait(t, stream.Done(), "the stream's end")

	c = s.dial("u", chatCaps...)
	c.join(chat, fmt.Sprintf(`{"after":%q}`, position))
	c.event(chat, "message")
	if r := c.event(chat, "response"); r["response"] != "ONE" || r["ref"] == "" {
		t.Errorf("what was missed: %v", r)
	}
	c.ok(chat, "follow", fmt.Sprintf(`{"message_id":%q}`, asked["message_id"]))
	if whole := c.event(chat, "response_chunk"); whole["chunk"] != "ONE" {
		t.Errorf("followed from the beginning: %v", whole)
	}
	select {
	case p := <-model.asked:
		t.Errorf("the model was asked again: %s", p.messages())
	default:
	}
}

func TestLobbiesAreApart(t *testing.T) {
	const lobby = "conversation:lobby"
	model := newAnswering()
	s := start(t, model.provider())
	a, b := s.dial("a", lobby+"=subscribe,publish,complete"), s.dial("b", lobby+"=subscribe,publish,complete")
	idA, idB := a.join(lobby, `{}`)["conversation_id"].(string), b.join(lobby, `{}`)["conversation_id"].(string)
	if idA == idB || len(idA) != 36 {
		t.Fatalf("the lobbies are %s and %s", idA, idB)
	}
	a.ok(lobby, "typing", `{"typing":true}`)
	a.ok(lobby, "message", `{"content":"secret"}`)
	model.say("SECRET")
	if text, r := readAnswer(a, lobby); text != "SECRET" || r["response"] != "SECRET" {
		t.Errorf("%q, %v", text, r)
	}
	a.ok(lobby, "cancel_processing", `{}`)
	a.ok(lobby, "note", `{"n":1}`)
	b.ok(lobby, "get_history", `{}`)
	if h := b.event(lobby, "history"); h["count"] != 0.0 { // and nothing before it
		t.Errorf("b's history is %v", h)
	}
	if status, r := b.ask("conversation:"+idA, "phx_join", `{}`); status != "error" || r["reason"] != "unauthorized" ||
		r["code"] != "forbidden" {
		t.Errorf("b joins a's conversation: %s %v", status, r)
	}
	again := s.dial("a", lobby+"=subscribe")
	if joined := again.join(lobby, `{}`); joined["conversation_id"] != idA || joined["messages"] != 2.0 {
		t.Errorf("a's lobby again: %v", joined)
	}
	again.join("conversation:"+idA, `{}`) // by its own name, too: it is a's own
	a.ok(lobby, "note", `{"n":2}`)
	for _, topic := range []string{lobby, "conversation:" + idA} {
		if m := again.untilMessage("note"); m.Topic != topic && m.Topic != lobby {
			t.Errorf("the event came on %s", m.Topic)
		}
	}
}

func TestWhoMayJoinConversations(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	s.dial("a", chatCaps...).join(chat, `{}`)
	for _, tt := range []struct {
		user, cap, status string
	}{
		{"a", "conversation:lobby=subscribe", "ok"},
		{"a", "none=subscribe", "error"}, // its own, but the token does not allow it
		{"b", "conversation:*=subscribe,publish,complete", "error"},
		{"b", "*=subscribe", "error"},
		{"b", chat + "=publish", "error"},
		{"b", chat + "=subscribe", "ok"},
		{"b", "conversation:*=admin", "ok"},
	} {
		if status, r := s.dial(tt.user, tt.cap).ask(chat, "phx_join", `{}`); status != tt.status || status == "error" &&
			r["reason"] != "unauthorized" {
			t.Errorf("%s with %s: %s %v", tt.user, tt.cap, status, r)
		}
	}
	if status, r := s.dial("c", "none=subscribe").ask("conversation:new", "phx_join", `{}`); status != "error" ||
		r["reason"] != "unauthorized" {
		t.Errorf("a new one without the right: %s %v", status, r)
	}
	guest := s.dial("b", chat+"=subscribe")
	guest.join(chat, `{}`)
	for event, payload := range map[string]string{
		"message": `{"content":"x"}`, "typing": `{"typing":true}`, "set_context": `{"context":{}}`, "new_conversation": `{}`,
		"cancel_processing": `{}`, "set_llm_preference": `{"model":"m"}`, "note": `{}`,
	} {
		status, r := guest.ask(chat, event, payload)
		if status != "error" || r["reason"] != "forbidden" {
			t.Errorf("%s: %s %v", event, status, r)
		}
		if e := guest.event(chat, "error"); e["type"] != "forbidden" {
			t.Errorf("%s: %v", event, e)
		}
	}
}

func TestBadMessagesNameTheField(t *testing.T) {
	s := start(t, says("x"))
	c := s.dial("u", chatCaps...)
	for params, field := range map[string]string{
		`{"title":1}`: "title", `{"metadata":[]}`: "metadata", `{"after":"?"}`: "after",
	} {
		if status, r := c.ask(chat, "phx_join", params); status != "error" || r["field"] != field {
			t.Errorf("join %s: %s %v", params, status, r)
		}
	}
	c.join(chat, `{}`)
	for _, tt := range []struct{ event, payload, field, message string }{
		{"message", `{}`, "content", "Message content is required"},
		{"message", `{"content":" "}`, "content", "Message content is required"},
		{"message", `{"content":7}`, "content", "content: must be a string; got number"},
		{
			"message", `{"content":"` + strings.Repeat("é", 4001) + `"}`, "content",
			"content: has 4001 characters; at most 4000 are allowed",
		},
		{"message", `{"content":"x","llm_config":{"model":7}}`, "llm_config.model", ""},
		{"message", `{"content":"x","llm_config":{"temperature":3}}`, "llm_config.temperature", ""},
		{"message", `{"content":"x","llm_config":{"max_tokens":0}}`, "llm_config.max_tokens", ""},
		{"message", `{"content":"x","options":{"max_tokens":0}}`, "options.max_tokens", ""},
		{"message", `{"content":"x","context":[]}`, "context", ""},
		{"message", `{"content":"x","id":"a b"}`, "id", ""},
		{"message", `{"content":"x","after":"?"}`, "after", ""},
		{"message", `[]`, "payload", ""},
		{"set_context", `{}`, "context", ""},
		{"set_context", `{"context":{"x":"` + strings.Repeat("x", 17<<10) + `"}}`, "context", ""},
		{"typing", `{"typing":"yes"}`, "typing", ""},
		{"typing", `{}`, "typing", ""},
		{"get_history", `{"limit":0}`, "limit", "Failed to load conversation history"},
		{"set_llm_preference", `{}`, "model", ""},
		{"follow", `{}`, "message_id", ""},
	} {
		status, r := c.ask(chat, tt.event, tt.payload)
		if status != "error" || r["field"] != tt.field {
			t.Errorf("%s %.60s: %s %v, want the field %s", tt.event, tt.payload, status, r, tt.field)
		}
		e := c.event(chat, "error")
		if e["type"] != "invalid_message" || e["field"] != tt.field || e["recoverable"] != false || tt.message != "" &&
			e["message"] != tt.message {
			t.Errorf("%s %.60s: %v", tt.event, tt.payload, e)
		}
	}
	if status, r := c.ask(chat, "response", `{"response":"forged"}`); status != "error" || r["reason"] == nil {
		t.Errorf("a forged response: %s %v", status, r)
	}
}

func TestFailuresAreTold(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	for _, tt := range []struct {
		err         error
		kind        string
		recoverable bool
	}{
		{&hub.ProviderError{Code: "upstream_timeout", Message: "too slow"}, "timeout_error", true},
		{&hub.ProviderError{Status: 401, Code: "invalid_api_key", Message: "bad key"}, "configuration_error", false},
		{&hub.ProviderError{Status: 429, Code: "rate_limit_exceeded", Message: "slow down"}, "processing_error", true},
		{fmt.Errorf("broken"), "processing_error", false},
	} {
		asked := c.ok(chat, "message", `{"content":"x"}`)
		(<-model.asked).fail <- tt.err
		e := c.event(chat, "error")
		if e["type"] != tt.kind || e["recoverable"] != tt.recoverable || e["message_id"] != asked["message_id"] ||
			e["message"] == "" {
			t.Errorf("%v: %v", tt.err, e)
		}
	}
	none := start(t, nil).dial("u", chatCaps...)
	none.join(chat, `{}`)
	if status, r := none.ask(chat, "message", `{"content":"x"}`); status != "error" || r["reason"] != "unavailable" {
		t.Errorf("without a model: %s %v", status, r)
	}
	if e := none.event(chat, "error"); e["type"] != "llm_not_configured" ||
		e["message"] != "Please configure your LLM provider and model in settings." {
		t.Errorf("without a model: %v", e)
	}
}

func TestPreferenceAndTyping(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c, other := s.dial("u", chatCaps...), s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	other.join(chat, `{}`)
	c.ok(chat, "set_llm_preference", `{"provider":"p","model":"m-7","is_default":true}`)
	c.ok(chat, "message", `{"content":"one"}`)
	if p := model.say("ONE"); p.req.Model != "m-7" {
		t.Errorf("asked of %q", p.req.Model)
	}
	c.event(chat, "response")
	other.event(chat, "message")
	other.event(chat, "response")
	c.ok(chat, "typing", `{"typing":true}`)
	if got := other.event(chat, "typing"); got["typing"] != true || got["user_id"] != "u" {
		t.Errorf("typing: %v", got)
	}
	c.join("conversation:c-2", `{}`)
	c.ok("conversation:c-2", "message", `{"content":"one"}`)
	if p := model.say("ONE"); p.req.Model != "m-7" { // the default of the user's next
		t.Errorf("asked of %q", p.req.Model)
	}
	c.event("conversation:c-2", "response") // and c did not hear itself typing
}

// TestEveryQuestionEndsOnce: many clients ask, cancel and leave at the same time. Each accepted question ends once, in
// the same order for all clients.
func TestEveryQuestionEndsOnce(t *testing.T) {
	s := start(t, says("a", "b", "c"))
	watcher := s.dial("u", chatCaps...)
	watcher.join(chat, `{}`)
	const clients, questions = 6, 15
	taken := make(chan string, clients*questions)
	var work sync.WaitGroup
	for n := range clients {
		c := s.dial("u", chatCaps...)
		work.Go(func() {
			c.join(chat, `{}`)
			for i := range questions {
				taken <- c.ok(chat, "message", fmt.Sprintf(`{"content":"%d of %d"}`, i, n))["message_id"].(string)
				switch {
				case i%5 == n:
					c.ok(chat, "cancel_processing", `{}`)
				case i%7 == n:
					c.ok(chat, "phx_leave", `{}`)
					c.join(chat, `{}`)
				}
			}
		})
	}
	work.Wait()
	close(taken)
	watcher.ok(chat, "cancel_processing", `{}`)
	watcher.ok(chat, "last", `{}`)
	ends := map[string]int{}
	asked := map[string]bool{}
	for m := watcher.next(); m.Event != "last"; m = watcher.next() {
		id, _ := object(t, m.Payload)["message_id"].(string)
		switch m.Event {
		case "message":
			asked[id] = true
		case "response", "processing_cancelled":
			if id == "" { // nothing to cancel
				continue
			}
			if !asked[id] {
				t.Errorf("%s ended before it was asked", id)
			}
			ends[id]++
		}
	}
	n := 0
	for id := range taken {
		if n++; ends[id] != 1 {
			t.Errorf("%s has %d ends", id, ends[id])
		}
	}
	if n != clients*questions || len(ends) != n {
		t.Errorf("%d questions, %d of them ended", n, len(ends))
	}
}
