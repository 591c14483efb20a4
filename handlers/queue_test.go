package handlers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// messagesPath is the caller's own queue.
const messagesPath = "/v1/users/me/messages"

type messageJSON struct {
	ID, Position, Topic, Event, Sender string
	Payload                            json.RawMessage
	QueuedAt                           time.Time `json:"queued_at"`
	ExpiresAt                          time.Time `json:"expires_at"`
}

type queueJSON struct {
	Messages       []messageJSON
	Expired        int
	ExpiredThrough string `json:"expired_through"`
	Position       string
	Reset          *struct{ Reason, Requested, From string }
}

type queuedJSON struct {
	Messages []struct{ ID, Position string }
}

type throughJSON struct{ Through string }

// as returns the header of a user whose token has caps. Without caps it allows only what every user may do.
func as(t testing.TB, user string, caps ...string) string {
	t.Helper()
	return "Authorization: Bearer " + token(t, user, caps...)
}

// leave sends a message to a user's queue, as an application does, and returns its position.
func (s *testServer) leave(user string, n int) string {
	s.t.Helper()
	out := call[queuedJSON](
		s, 201, "POST", "/v1/users/"+user+"/messages", fmt.Sprintf(`{"event":"note","payload":%d}`, n),
		as(s.t, "app", "user:*=queue"),
	)
	return out.Messages[0].Position
}

func (s *testServer) ack(user, through string) {
	s.t.Helper()
	got := call[throughJSON](s, 200, "POST", messagesPath+"/ack", `{"through":"`+through+`"}`, as(s.t, user))
	if got.Through == "" {
		s.t.Errorf("acknowledged through %q", got.Through)
	}
}

// payloads returns the numbers in the messages' payloads.
func payloads(messages []messageJSON) string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Payload))
	}
	return strings.Join(all, " ")
}

func TestQueueKeepsOrderAndShape(t *testing.T) {
	s := startServer(t, nil, hub.Limits{QueueTTL: time.Hour}, nil)
	app, ada := as(t, "app", "user:*=queue"), as(t, "ada")
	before := time.Now().Add(-time.Second)
	out := call[queuedJSON](s, 201, "POST", "/v1/users/ada/messages", `{"messages":[`+
		`{"id":"m-1","event":"note","payload":{"big":12345678901234567890}},`+
		`{"event":"saved","topic":"code:project:42"},{"event":"raw","bytes":"AAE="}]}`, app)
	array := call[queuedJSON](s, 201, "POST", "/v1/users/ada/messages", `[{"event":"last"}]`, app)
	page := call[queueJSON](s, 200, "GET", messagesPath, "", ada)
	if len(page.Messages) != 4 || page.Expired != 0 || page.ExpiredThrough != "" || page.Reset != nil ||
		page.Position != array.Messages[0].Position {
		t.Fatalf("%+v", page)
	}
	for i, want := range []struct{ topic, event, payload string }{
		{"user:ada", "note", `{"big":12345678901234567890}`},
		{"code:project:42", "saved", `{}`},
		{"user:ada", "raw", `{"bytes":"AAE="}`},
	} {
		m := page.Messages[i]
		if m.ID != out.Messages[i].ID || m.Position != out.Messages[i].Position || m.Topic != want.topic ||
			m.Event != want.event || string(m.Payload) != want.payload || m.Sender != "app" {
			t.Errorf("%+v, want %+v, answered as %+v", m, want, out.Messages[i])
		}
		if m.QueuedAt.Before(before) || m.ExpiresAt.Sub(m.QueuedAt) != time.Hour {
			t.Errorf("queued at %s, expires at %s", m.QueuedAt, m.ExpiresAt)
		}
	}
	if page.Messages[0].ID != "m-1" {
		t.Errorf("the id is %q", page.Messages[0].ID)
	}
	if other := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "bob")); len(other.Messages) != 0 {
		t.Errorf("bob got %+v", other)
	}
}

// TestQueuePages: a page continues at a position, which acknowledges nothing.
func TestQueuePages(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	for i := range 5 {
		s.leave("ada", i)
	}
	ada := as(t, "ada")
	first := call[queueJSON](s, 200, "GET", messagesPath+"?limit=2", "", ada)
	rest := call[queueJSON](s, 200, "GET", messagesPath+"?after="+first.Position, "", ada)
	all := call[queueJSON](s, 200, "GET", "/v1/users/ada/messages?after=0", "", ada)
	if payloads(first.Messages) != "0 1" || payloads(rest.Messages) != "2 3 4" || payloads(all.Messages) != "0 1 2 3 4" {
		t.Errorf("%+v, %+v, %+v", first, rest, all)
	}
	for position, reason := range map[string]string{
		"gone-q.1": "epoch", strings.Split(rest.Position, ".")[0] + ".99": "ahead",
	} {
		page := call[queueJSON](s, 200, "GET", messagesPath+"?after="+position, "", ada)
		if page.Reset == nil || page.Reset.Reason != reason || payloads(page.Messages) != "0 1 2 3 4" {
			t.Errorf("after %s: %+v", position, page)
		}
		live := s.stream("GET", messagesPath, "", ada, "Last-Event-ID: "+position)
		if b := live.want("hello"); !strings.Contains(b.data, `"recovered":false`) {
			t.Errorf("%+v", b)
		}
		if r := parse[struct{ Reason string }](t, live.want("reset")); r.Reason != reason {
			t.Errorf("%+v", r)
		}
		if m := parse[messageJSON](t, live.want("")); string(m.Payload) != "0" {
			t.Errorf("after the reset came %+v", m)
		}
	}
}

func TestQueueLongPollWaitsForAMessage(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	old := s.leave("ada", 1)
	got := make(chan queueJSON, 1)
	go func() { got <- call[queueJSON](s, 200, "GET", messagesPath+"?wait=20&after="+old, "", as(t, "ada")) }()
	hubtest.Until(t, "ada to wait", func() bool { return s.hub.HasSession("ada") })
	s.leave("ada", 2)
	if page := <-got; payloads(page.Messages) != "2" {
		t.Errorf("%+v", page)
	}
	if s.hub.HasSession("ada") {
		t.Error("ada is there after her poll")
	}
}

// TestQueueIsAcknowledgedForAllSessions: two sessions of a user receive the same messages. After one of them has
// acknowledged, new sessions do not receive these messages.
func TestQueueIsAcknowledgedForAllSessions(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	s.leave("ada", 0)
	ada := as(t, "ada")
	one, two := s.stream("GET", messagesPath, "", ada), s.stream("GET", messagesPath, "", ada)
	one.want("hello")
	two.want("hello")
	var last string
	for i := 1; i < 4; i++ {
		s.leave("ada", i)
	}
	for _, sub := range []*sseReader{one, two} {
		for i := range 4 {
			b := sub.want("")
			if m := parse[messageJSON](t, b); string(m.Payload) != strconv.Itoa(i) || m.Position != b.id {
				t.Fatalf("message %d: %+v", i, b)
			}
			if i == 2 {
				last = b.id
			}
		}
	}
	s.ack("ada", last)
	s.ack("ada", last) // repeating it changes nothing
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", ada); payloads(page.Messages) != "3" {
		t.Errorf("after the acknowledgement: %+v", page)
	}
	late := s.stream("GET", messagesPath, "", ada)
	late.want("hello")
	if m := parse[messageJSON](t, late.want("")); string(m.Payload) != "3" {
		t.Errorf("a session that came later got %+v", m)
	}
	behind := strings.Split(last, ".")[0] + ".99"
	if p := call[problem](s, 400, "POST", messagesPath+"/ack", `{"through":"`+behind+`"}`, ada); p.Field != "through" ||
		!strings.Contains(p.Detail, "behind the newest") {
		t.Errorf("%+v", p)
	}
}

// TestQueueSlowReaderGetsAll: a reader that pauses receives every message, in order, and does not restart from the
// beginning of its connection.
func TestQueueSlowReaderGetsAll(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	sub := s.stream("GET", messagesPath, "", as(t, "ada"))
	sub.want("hello")
	pad := strings.Repeat("x", 60_000)
	const n = 100
	for i := range n {
		body := fmt.Sprintf(`{"event":"note","payload":[%d,%q]}`, i, pad)
		call[queuedJSON](s, 201, "POST", "/v1/users/ada/messages", body, as(t, "app", "user:*=queue"))
	}
	for i := range n {
		m := parse[messageJSON](t, sub.want(""))
		if !strings.HasPrefix(string(m.Payload), fmt.Sprintf("[%d,", i)) {
			t.Fatalf("message %d is %.40s", i, m.Payload)
		}
	}
}

func TestQueueTakesAnIDOnce(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	send := func(sender string, n int) string {
		out := call[queuedJSON](
			s, 201, "POST", "/v1/users/ada/messages", fmt.Sprintf(`{"id":"x","event":"note","payload":%d}`, n),
			as(t, sender, "user:*=queue"),
		)
		return out.Messages[0].Position
	}
	first := send("app", 1)
	if again := send("app", 1); again != first {
		t.Errorf("sent again it is at %s, first at %s", again, first)
	}
	if other := send("other", 3); other == first {
		t.Error("another sender's message is taken for the same")
	}
	s.ack("ada", first)
	if again := send("app", 1); again != first {
		t.Errorf("sent again after its acknowledgement it is at %s", again)
	}
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); payloads(page.Messages) != "3" {
		t.Errorf("%+v", page)
	}
}

func TestQueueFull(t *testing.T) {
	s := startServer(t, nil, hub.Limits{QueueMax: 2, QueueBytes: 100}, nil)
	app := as(t, "app", "user:*=queue")
	refused := func(user, body string, limit int64) {
		t.Helper()
		resp := s.do("POST", "/v1/users/"+user+"/messages", body, app)
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		var p struct {
			Code  string
			Limit int64
		}
		if err := json.Unmarshal(raw, &p); err != nil || resp.StatusCode != 429 || p.Code != "queue_full" ||
			p.Limit != limit || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s, Retry-After %q: %s", resp.Status, resp.Header.Get("Retry-After"), raw)
		}
	}
	s.leave("ada", 1)
	refused("ada", `[{"event":"a","payload":2},{"event":"b","payload":3}]`, 2) // all are refused
	last := s.leave("ada", 4)
	refused("ada", `{"event":"a"}`, 2)
	refused("bob", `{"event":"a","payload":"`+strings.Repeat("x", 100)+`"}`, 100)
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada")); payloads(page.Messages) != "1 4" {
		t.Errorf("%+v", page)
	}
	s.ack("ada", last)
	s.leave("ada", 5)
}

// TestQueueTellsWhatExpired: expired messages are counted, and reported to every reader until one acknowledges the
// count.
func TestQueueTellsWhatExpired(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{QueueTTL: 100 * time.Millisecond}, nil)
		ada := as(t, "ada")
		s.leave("ada", 1)
		s.leave("ada", 2)
		time.Sleep(100 * time.Millisecond)
		// opening a queue without readers removes expired messages
		page := call[queueJSON](s, 200, "GET", messagesPath, "", ada)
		if page.Expired != 2 || page.ExpiredThrough == "" || len(page.Messages) != 0 || page.Position != page.ExpiredThrough {
			t.Errorf("%+v", page)
		}
		sub := s.stream("GET", messagesPath, "", ada)
		sub.want("hello")
		b := sub.want("messages_expired")
		if b.data != fmt.Sprintf(`{"expired":2,"through":%q}`, page.ExpiredThrough) || b.id != "" {
			t.Errorf("%+v", b)
		}
		// For a new reader the expired messages are news, so that its wait ends at once. A reader that continues behind them
		// waits, and is reminded.
		before := time.Now()
		call[queueJSON](s, 200, "GET", messagesPath+"?wait=60", "", ada)
		if waited := time.Since(before); waited != 0 {
			t.Errorf("who has not been there waited for %v", waited)
		}
		sub.resp.Body.Close()
		got := make(chan queueJSON, 1)
		go func() {
			got <- call[queueJSON](s, 200, "GET", messagesPath+"?wait=20&after="+page.Position, "", as(t, "ada"))
		}()
		synctest.Wait()
		s.leave("ada", 3)
		if again := <-got; again.Expired != 2 || payloads(again.Messages) != "3" {
			t.Errorf("%+v", again)
		}
		s.ack("ada", page.ExpiredThrough)
		if after := call[queueJSON](s, 200, "GET", messagesPath, "", ada); after.ExpiredThrough == page.ExpiredThrough {
			t.Errorf("after it was acknowledged: %+v", after)
		}
	})
}

// TestDurableEventsWaitForWhoIsAway: a durable event is queued for users who do not follow the topic, with the topic's
// name and the same id.
func TestDurableEventsWaitForWhoIsAway(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	bob := as(t, "bob", "code:*=subscribe")
	sub := s.stream("GET", eventsPath, "", bob)
	sub.want("hello")
	carl := s.dialSocket(token(t, "carl", "code:*=subscribe,presence"))
	carl.send(`["1","1","code:project:42","phx_join",{}]`)
	for pushedName(t, carl.next()) != "phx_reply" {
		continue // presence
	}
	body := `{"event":"review","payload":7,"to":["ada","bob","carl"],"durable":true}`
	out := call[publishedJSON](s, 200, "POST", eventsPath, body, as(t, "ci", "code:*=publish", "user:*=queue"))
	if e := parse[envelope](t, sub.want("review")); e.ID != out.Events[0].ID {
		t.Errorf("bob heard %+v", e)
	}
	page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada"))
	if len(page.Messages) != 1 || page.Messages[0].ID != out.Events[0].ID || page.Messages[0].Topic != "code:project:42" ||
		page.Messages[0].Event != "review" || page.Messages[0].Sender != "ci" {
		t.Errorf("ada's queue: %+v", page)
	}
	for pushedName(t, carl.next()) != "review" {
		continue
	}
	for _, there := range []string{"bob", "carl"} {
		if page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, there)); len(page.Messages) != 0 {
			t.Errorf("%s's queue: %+v", there, page)
		}
	}
	// Two rights are needed: to publish, and to send messages to each of the users.
	call[problem](s, 403, "POST", eventsPath, body, as(t, "ci", "code:*=publish", "user:ada=queue"))
	call[problem](s, 403, "POST", eventsPath, body, as(t, "ci", "user:*=queue"))
	if h := call[historyJSON](s, 200, "GET", eventsPath, ""); len(h.Events) != 1 {
		t.Errorf("what was refused is on the topic: %+v", h.Events)
	}
	sub.resp.Body.Close()
	carl.conn.CloseNow()
	// After they have disconnected, the same event is queued for them.
	for n := 0; n == 0; {
		call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"review","to":["bob","carl"],"durable":true}`)
		n = len(call[queueJSON](s, 200, "GET", messagesPath, "", bob).Messages) *
			len(call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "carl")).Messages)
	}
}

// TestDurableEventsAndAFullQueue: a full queue refuses a durable event as a whole, so that its publisher retries.
func TestDurableEventsAndAFullQueue(t *testing.T) {
	s := startServer(t, nil, hub.Limits{QueueMax: 1}, nil)
	s.leave("ada", 1)
	body := `{"event":"review","to":["bob","ada"],"durable":true}`
	if p := call[problem](s, 429, "POST", eventsPath, body); p.Code != "queue_full" {
		t.Errorf("%+v", p)
	}
	h := call[historyJSON](s, 200, "GET", eventsPath, "")
	page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "bob"))
	if len(h.Events) != 0 || len(page.Messages) != 0 {
		t.Errorf("published %+v, left %+v", h.Events, page.Messages)
	}
}

// TestWithoutAQueue: a server that has no queue refuses messages, and everything else works.
func TestWithoutAQueue(t *testing.T) {
	var h *hub.Hub
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) {
		h = hub.New(hub.Options{Logger: o.Logger})
		o.Hub = h
	})
	t.Cleanup(h.Close)
	for _, r := range []struct{ method, path, body string }{
		{"GET", messagesPath, ""},
		{"POST", messagesPath, `{"event":"e"}`},
		{"POST", messagesPath + "/ack", `{"through":"0"}`},
		{"POST", eventsPath, `{"event":"e","to":["ada"],"durable":true}`},
	} {
		resp := s.expect(503, r.method, r.path, r.body)
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", r.method, r.path)
		}
	}
	if b := s.stream("GET", messagesPath, "").want("bye"); b.data != `{"reason":"overloaded"}` {
		t.Errorf("%+v", b)
	}
	c := s.dialSocket(token(t, "ada", "*=*"))
	c.send(`["1","1","user:ada","phx_join",{}]`)
	c.want(`["1","1","user:ada","phx_reply",{"status":"ok","response":{}}]`)
	call[publishedJSON](s, 200, "POST", "/v1/topics/user:ada/events", `{"event":"e"}`)
	c.want(`[null,null,"user:ada","e",{}]`)
}
