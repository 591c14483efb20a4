package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// pushedFrame is a frame that is not a reply, decoded.
type pushedFrame struct {
	Ref, Event string
	Payload    json.RawMessage
}

// pushed reads the next frame, which must have the event.
func (c *wsClient) pushed(event string) pushedFrame {
	c.t.Helper()
	return pushedOf(c.t, c.next(), event)
}

func pushedOf(t testing.TB, text, event string) pushedFrame {
	t.Helper()
	var fields []json.RawMessage
	var f pushedFrame
	if err := json.Unmarshal([]byte(text), &fields); err != nil || len(fields) != 5 {
		t.Fatalf("no frame: %s", text)
	}
	_ = json.Unmarshal(fields[1], &f.Ref) // null stays ""
	_ = json.Unmarshal(fields[3], &f.Event)
	f.Payload = fields[4]
	if f.Event != event {
		t.Fatalf("got %s, want an event %s", text, event)
	}
	return f
}

// pushedName returns the event of a frame.
func pushedName(t testing.TB, text string) (event string) {
	t.Helper()
	var fields []json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil || json.Unmarshal(fields[3], &event) != nil {
		t.Fatalf("no frame: %s", text)
	}
	return event
}

// message reads a message of the queue, whose payload must have the number, and returns its position.
func (c *wsClient) message(n int) string {
	c.t.Helper()
	return messageOf(c.t, c.pushed("message"), n)
}

func messageOf(t testing.TB, f pushedFrame, n int) string {
	t.Helper()
	var m messageJSON
	if err := json.Unmarshal(f.Payload, &m); err != nil || string(m.Payload) != fmt.Sprint(n) || m.Position == "" {
		t.Fatalf("got %s, want message %d", f.Payload, n)
	}
	return m.Position
}

// joinUser joins user:ID with params, and returns the reply.
func (c *wsClient) joinUser(user, params string) (reply struct {
	Status   string
	Response struct {
		Reason, Reset, Position string
		Recovered               *bool
	}
},
) {
	c.t.Helper()
	c.send(`["1","1","user:%s","phx_join",%s]`, user, params)
	f := c.pushed("phx_reply")
	if err := json.Unmarshal(f.Payload, &reply); err != nil {
		c.t.Fatal(err)
	}
	return reply
}

// silence fails if the client was sent a frame that it has not read.
func (c *wsClient) silence() {
	c.t.Helper()
	c.send(`[null,"hb","phoenix","heartbeat",{}]`)
	c.want(`[null,"hb","phoenix","phx_reply",{"status":"ok","response":{}}]`)
}

// TestSocketQueue: every session of a user receives the messages in order. After one acknowledges, new sessions do not
// receive them. The topic's events are sent on the same channel.
func TestSocketQueue(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	s.leave("ada", 0)
	one, two := s.dialSocket(token(t, "ada")), s.dialSocket(token(t, "ada"))
	one.send(`["1","1","user:ada","phx_join",{}]`)
	one.want(`["1","1","user:ada","phx_reply",{"status":"ok","response":{}}]`)
	two.joinUser("ada", `{}`)
	s.leave("ada", 1)
	last := s.leave("ada", 2)
	for _, c := range []*wsClient{one, two} {
		for i := range 3 {
			if f := c.pushed("message"); f.Ref != "" {
				t.Errorf("a position for who did not ask: %+v", f)
			} else if got := messageOf(t, f, i); i == 2 && got != last {
				t.Errorf("at %s, answered as %s", got, last)
			}
		}
	}
	call[publishedJSON](s, 200, "POST", "/v1/topics/user:ada/events", `{"event":"hi"}`)
	one.want(`[null,null,"user:ada","hi",{}]`)
	one.send(`["1","2","user:ada","ack",{"through":%q}]`, last)
	one.want(`["1","2","user:ada","phx_reply",{"status":"ok","response":{"through":%q}}]`, last)
	one.send(`["1","3","user:ada","ack",{"through":%q}]`, last)
	one.want(`["1","3","user:ada","phx_reply",{"status":"ok","response":{"through":%q}}]`, last)
	three := s.dialSocket(token(t, "ada"))
	three.joinUser("ada", `{}`)
	three.silence()
	s.leave("ada", 3)
	three.message(3)
	one.message(3)
}

func TestSocketQueueRefusesWrongAcknowledgements(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	position := s.leave("ada", 1)
	c := s.dialSocket(token(t, "ada"))
	c.joinUser("ada", `{}`)
	c.message(1)
	for _, payload := range []string{
		`{}`, `{"through":7}`, `{"through":"x"}`, `{"through":"now"}`, `{"through":"a.Vb"}`, `{"through":"abc-1.1"}`,
		`{"through":"` + strings.Split(position, ".")[0] + `.9"}`,
	} {
		c.send(`["1","2","user:ada","ack",%s]`, payload)
		var reply struct {
			Status   string
			Response struct{ Reason, Field string }
		}
		if f := c.pushed("phx_reply"); json.Unmarshal(f.Payload, &reply) != nil || reply.Status != "error" ||
			reply.Response.Reason != "invalid" || reply.Response.Field != "through" {
			t.Errorf("%s: %s", payload, f.Payload)
		}
	}
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); len(page.Messages) != 1 {
		t.Errorf("%+v", page)
	}
}

// TestSocketQueueRights: which other users may receive a user's messages, and acknowledge them.
func TestSocketQueueRights(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	position := s.leave("ada", 1)
	for action, want := range map[string]struct{ joins, reads bool }{
		"subscribe": {true, false}, "publish": {}, "presence": {}, "complete": {}, "produce": {}, "queue": {}, "act": {},
		"admin": {true, true}, "*": {true, true},
		"subscribe,queue": {true, false},
	} {
		c := s.dialSocket(token(t, "guest", "user:ada="+action))
		if reply := c.joinUser("ada", `{"after":"now"}`); (reply.Status == "ok") != want.joins {
			t.Errorf("%s: the join says %+v", action, reply)
		}
		if !want.joins {
			continue
		}
		if want.reads {
			c.message(1)
		} else {
			c.silence()
		}
		c.send(`["1","2","user:ada","ack",{"through":"0"}]`)
		if f := c.pushed("phx_reply"); strings.Contains(string(f.Payload), `"ok"`) != want.reads ||
			strings.Contains(string(f.Payload), `"forbidden"`) == want.reads {
			t.Errorf("%s: ack says %s", action, f.Payload)
		}
	}
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); len(page.Messages) != 1 ||
		page.Messages[0].Position != position {
		t.Errorf("%+v", page)
	}
}

// TestSocketQueueResumes: a position on user:ID has an offset in the topic and one in the queue. A join after it
// receives what is new in each, and nothing twice.
func TestSocketQueueResumes(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	publish := func(n int) {
		t.Helper()
		call[publishedJSON](s, 200, "POST", "/v1/topics/user:ada/events", fmt.Sprintf(`{"event":"e","payload":{"n":%d}}`, n))
	}
	tok := token(t, "ada")
	c := s.dialSocket(tok)
	joined := c.joinUser("ada", `{"after":"now"}`)
	if joined.Response.Recovered == nil || !*joined.Response.Recovered ||
		!strings.Contains(joined.Response.Position, ".V") {
		t.Fatalf("%+v", joined)
	}
	s.leave("ada", 1)
	first := c.pushed("message")
	publish(2)
	second := c.pushed("e")
	s.leave("ada", 3)
	third := c.pushed("message")
	publish(4)
	c.pushed("e")
	for _, v := range []string{first.Ref, second.Ref, third.Ref} {
		if !strings.Contains(v, ".V") || len(v) > log.MaxVector {
			t.Errorf("position %q", v)
		}
	}
	// For each position, what follows it. A join first receives the topic's events, then the messages.
	for after, want := range map[string]string{
		joined.Response.Position:            "e2 e4 m1 m3",
		first.Ref:                           "e2 e4 m3",
		second.Ref:                          "e4 m3",
		third.Ref:                           "e4",
		"0":                                 "e2 e4 m1 m3",
		"now":                               "m1 m3",
		"":                                  "m1 m3",
		messageOf(t, first, 1):              "m3",
		s.topicPosition("user:ada", "e", 0): "e4 m1 m3",
	} {
		again := s.dialSocket(tok)
		if r := again.joinUser("ada", `{"after":"`+after+`"}`).Response; r.Recovered == nil || !*r.Recovered ||
			r.Reset != "" {
			t.Errorf("after %q: %+v", after, r)
		}
		var got []string
		for range strings.Fields(want) {
			got = append(got, again.brief())
		}
		again.silence()
		if strings.Join(got, " ") != want {
			t.Errorf("after %q came %v, want %s", after, got, want)
		}
	}
	// Such a position acknowledges up to its offset in the queue.
	c.send(`["1","9","user:ada","ack",{"through":%q}]`, second.Ref)
	c.want(`["1","9","user:ada","phx_reply",{"status":"ok","response":{"through":%q}}]`, messageOf(t, first, 1))
	call[throughJSON](s, 200, "POST", messagesPath+"/ack", `{"through":"`+third.Ref+`"}`, as(t, "ada"))
	// A position of the socket can be used over SSE.
	s.leave("ada", 5)
	sub := s.stream("GET", messagesPath+"?after="+third.Ref, "", as(t, "ada"))
	sub.want("hello")
	if m := parse[messageJSON](t, sub.want("")); string(m.Payload) != "5" {
		t.Errorf("SSE goes on with %+v", m)
	}
}

// brief returns the next frame as "e" and the number of an event, or "m" and the number of a message.
func (c *wsClient) brief() string {
	c.t.Helper()
	text := c.next()
	var fields []json.RawMessage
	var p struct {
		N       json.RawMessage
		Payload json.RawMessage
	}
	if json.Unmarshal([]byte(text), &fields) != nil || json.Unmarshal(fields[4], &p) != nil {
		c.t.Fatalf("no frame: %s", text)
	}
	if string(fields[3]) == `"message"` {
		return "m" + string(p.Payload)
	}
	return "e" + string(p.N)
}

// topicPosition returns the position of an event in a topic's history.
func (s *testServer) topicPosition(topic, event string, i int) string {
	s.t.Helper()
	h := call[historyJSON](s, 200, "GET", "/v1/topics/"+topic+"/events", "")
	if h.Events[i].Event != event {
		s.t.Fatalf("%+v", h)
	}
	return h.Events[i].Position
}

// TestSocketQueueTellsAGap: a join whose position is lost in one of the logs is told so, and receives that log from its
// beginning.
func TestSocketQueueTellsAGap(t *testing.T) {
	s := startServer(t, nil, hub.Limits{HistoryEvents: 1}, nil)
	tok := token(t, "ada")
	c := s.dialSocket(tok)
	start := c.joinUser("ada", `{"after":"now"}`).Response.Position
	ahead := strings.Split(s.leave("ada", 1), ".")[0] + ".99"
	c.message(1)
	for i := range 3 {
		call[publishedJSON](s, 200, "POST", "/v1/topics/user:ada/events", fmt.Sprintf(`{"event":"e","payload":{"n":%d}}`, i))
	}
	for after, want := range map[string]struct{ reset, got string }{
		start:           {"trimmed", "e2 m1"},
		"elsewhere-q.7": {"epoch", "e2 m1"},
		ahead:           {"ahead", "m1"}, // of the queue; of the topic only new events
	} {
		again := s.dialSocket(tok)
		if r := again.joinUser("ada", `{"after":"`+after+`"}`).Response; *r.Recovered || r.Reset != want.reset {
			t.Errorf("after %q: %+v", after, r)
		}
		for _, part := range strings.Fields(want.got) {
			if got := again.brief(); got != part {
				t.Errorf("after %q came %s, want %s", after, got, want.got)
			}
		}
		again.silence()
	}
	if r := s.dialSocket(tok).joinUser("ada", `{"after":"a.Vb"}`); r.Status != "error" || r.Response.Reason != "invalid" {
		t.Errorf("%+v", r)
	}
}

func TestSocketQueueTellsWhatExpired(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{QueueTTL: 100 * time.Millisecond}, nil)
		s.leave("ada", 1)
		time.Sleep(100 * time.Millisecond)
		if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); page.Expired != 1 {
			t.Fatalf("%+v", page)
		}
		c := s.dialSocket(token(t, "ada"))
		c.joinUser("ada", `{"after":"now"}`)
		f := c.pushed("messages_expired")
		var e struct {
			Expired int
			Through string
		}
		if json.Unmarshal(f.Payload, &e) != nil || e.Expired != 1 || e.Through == "" || f.Ref != "" {
			t.Fatalf("%+v", f)
		}
		c.send(`["1","2","user:ada","ack",{"through":%q}]`, e.Through)
		c.want(`["1","2","user:ada","phx_reply",{"status":"ok","response":{"through":%q}}]`, e.Through)
		again := s.dialSocket(token(t, "ada"))
		again.joinUser("ada", `{}`)
		again.silence()
	})
}

// TestSocketQueueSlowReader: a client that does not read while many large messages are sent receives all of them, in
// order. Its replies do not wait for them.
func TestSocketQueueSlowReader(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	c := s.dialSocket(token(t, "ada"))
	c.joinUser("ada", `{}`)
	pad := strings.Repeat("x", 60_000)
	const n = 100
	for i := range n {
		body := fmt.Sprintf(`{"event":"note","payload":[%d,%q]}`, i, pad)
		call[queuedJSON](s, 201, "POST", "/v1/users/ada/messages", body, as(t, "app", "user:*=queue"))
	}
	for i := range n {
		f := c.pushed("message")
		if !strings.Contains(string(f.Payload), fmt.Sprintf(`"payload":[%d,`, i)) {
			t.Fatalf("message %d is %.200s", i, f.Payload)
		}
	}
}

// TestLongPollQueue is the same over long-poll, whose answers a proxy may repeat.
func TestLongPollQueue(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	s.leave("ada", 0)
	app := "token=" + url.QueryEscape(token(t, "ada"))
	open := s.poll("GET", app, "")
	session := app + "&token=" + url.QueryEscape(open.Token)
	if post := s.poll("POST", session, `["1","1","user:ada","phx_join",{"after":"now"}]`); post.Status != 200 {
		t.Fatalf("%+v", post)
	}
	var frames []string
	last := ""
	for n := 1; len(frames) < 6; n++ {
		if n < 5 {
			last = s.leave("ada", n)
		}
		got := s.poll("GET", session, "")
		if got.Status != 200 && got.Status != 204 {
			t.Fatalf("%+v", got)
		}
		frames = append(frames, got.Messages...)
		session = app + "&token=" + url.QueryEscape(got.Token)
	}
	pushedOf(t, frames[0], "phx_reply")
	for i, frame := range frames[1:] {
		messageOf(t, pushedOf(t, frame, "message"), i)
	}
	ack := fmt.Sprintf(`["1","2","user:ada","ack",{"through":%q}]`, last)
	if post := s.poll("POST", session, ack); post.Status != 200 {
		t.Fatalf("%+v", post)
	}
	got := s.poll("GET", session, "")
	if len(got.Messages) != 1 ||
		got.Messages[0] != fmt.Sprintf(`["1","2","user:ada","phx_reply",{"status":"ok","response":{"through":%q}}]`, last) {
		t.Errorf("%+v", got)
	}
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); len(page.Messages) != 0 {
		t.Errorf("%+v", page)
	}
}

// TestSocketPushesDurableEvents: like an event over REST, a push can be queued for users who are away. The other
// members of its payload belong to the application.
func TestSocketPushesDurableEvents(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	c := s.dialSocket(token(t, "ci", "t:1=subscribe,publish", "user:ada=queue"))
	c.send(`["1","1","t:1","phx_join",{}]`)
	c.next()
	push := func(payload string) (reply struct {
		Status   string
		Response struct{ ID, Reason, Field string }
	},
	) {
		t.Helper()
		c.send(`["1","2","t:1","review",%s]`, payload)
		for {
			var fields []json.RawMessage
			if err := json.Unmarshal([]byte(c.next()), &fields); err != nil {
				t.Fatal(err)
			}
			if string(fields[3]) == `"phx_reply"` {
				_ = json.Unmarshal(fields[4], &reply) // compared below
				return reply
			}
		}
	}
	kept := push(`{"_duckwire":{"durable":true,"to":["ada","ci"]},"n":1}`)
	if kept.Status != "error" || kept.Response.Reason != "forbidden" {
		t.Errorf("without the right for each: %+v", kept)
	}
	kept = push(`{"_duckwire":{"durable":true,"to":["ada"]},"n":2}`)
	page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada"))
	if kept.Status != "ok" || len(page.Messages) != 1 || page.Messages[0].ID != kept.Response.ID ||
		page.Messages[0].Topic != "t:1" || page.Messages[0].Event != "review" {
		t.Errorf("%+v left %+v", kept, page)
	}
	for _, reserved := range []string{`"durable":true`, `"durable":true,"to":"ada"`, `"durable":true,"to":[7]`, `"to":["ada"]`} {
		r := push(`{"_duckwire":{` + reserved + `}}`)
		if r.Response.Reason != "invalid" || r.Response.Field != "_duckwire.to" {
			t.Errorf("%s: %+v", reserved, r)
		}
	}
	for _, payload := range []string{`{"to":["ada"],"durable":true}`, `[1]`} {
		if r := push(payload); r.Status != "ok" {
			t.Errorf("%s: %+v", payload, r)
		}
	}
	if page = call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); len(page.Messages) != 1 {
		t.Errorf("%+v", page)
	}
}
