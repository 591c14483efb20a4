package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

type publishedJSON struct {
	Events []struct {
		ID       string
		Position *string
	}
}

type historyJSON struct {
	Events   []envelope
	Position string
	Reset    *struct{ Reason, Requested, From string }
}

const eventsPath = "/v1/topics/code:project:42/events"

func TestTopicEventsArriveInOrderAndResume(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	sub := s.stream("GET", eventsPath, "")
	hello := parse[struct {
		Position  string
		Recovered bool
		HB        int
	}](t, sub.want("hello"))
	if !hello.Recovered || hello.HB != 10 || hello.Position == "" {
		t.Errorf("hello %+v", hello)
	}
	out := call[publishedJSON](
		s, 200, "POST", eventsPath, `{"event":"saved","payload":{"n":1,"big":12345678901234567890,"text":"a\nb"}}`,
	)
	b := sub.want("saved")
	e := parse[envelope](t, b)
	if e.Topic != "code:project:42" || e.Event != "saved" || e.Sender != "u" || e.ID != out.Events[0].ID ||
		e.Position != b.id || b.id != *out.Events[0].Position {
		t.Errorf("%+v, published as %+v, id %s", e, out, b.id)
	}
	if string(e.Payload) != `{"n":1,"big":12345678901234567890,"text":"a\nb"}` {
		t.Errorf("payload %s", e.Payload)
	}
	batch := call[publishedJSON](
		s, 200, "POST", eventsPath, `[{"event":"a"},{"event":"b","payload":[1]},{"event":"c","payload":null}]`,
	)
	if len(batch.Events) != 3 {
		t.Fatalf("%+v", batch)
	}
	sub.resp.Body.Close()
	again := s.stream("GET", eventsPath, "", "Last-Event-ID: "+b.id)
	again.want("hello")
	for _, want := range []string{"a", "b", "c"} {
		again.want(want)
	}
}

func TestTopicRepeatedIDIsPublishedOnce(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	first := call[publishedJSON](s, 200, "POST", eventsPath, `{"id":"x","event":"a","payload":1}`)
	second := call[publishedJSON](s, 200, "POST", eventsPath, `{"id":"x","event":"a","payload":1}`)
	s.expect(409, "POST", eventsPath, `{"id":"x","event":"a","payload":2}`)
	other := call[publishedJSON](
		s, 200, "POST", eventsPath, `{"id":"x","event":"a","payload":3}`, "Authorization: Bearer "+token(t, "v", "*=*"),
	)
	if *first.Events[0].Position != *second.Events[0].Position || *first.Events[0].Position == *other.Events[0].Position {
		t.Errorf("%v %v %v", first, second, other)
	}
	if h := call[historyJSON](s, 200, "GET", eventsPath, ""); len(h.Events) != 2 || string(h.Events[0].Payload) != "1" {
		t.Errorf("%+v", h)
	}
}

func TestTopicReservedNamesGoUnnamed(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	sub := s.stream("GET", eventsPath, "")
	sub.want("hello")
	for _, name := range []string{"hello", "end", "reset", "bye", "open", "error", "message"} {
		call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"`+name+`"}`)
		if e := parse[envelope](t, sub.want("")); e.Event != name {
			t.Errorf("the envelope tells %q, want %q", e.Event, name)
		}
	}
}

func TestTopicHistoryPagesWaitsAndTellsGaps(t *testing.T) {
	s := startServer(t, nil, hub.Limits{HistoryEvents: 5}, nil)
	start := call[historyJSON](s, 200, "GET", eventsPath, "").Position
	got := make(chan historyJSON)
	go func() { got <- call[historyJSON](s, 200, "GET", eventsPath+"?wait=20&after="+start, "") }()
	call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"e","payload":0}`)
	if h := <-got; len(h.Events) != 1 || h.Reset != nil {
		t.Errorf("the long poll got %+v", h)
	}
	for i := 1; i < 9; i++ {
		call[publishedJSON](s, 200, "POST", eventsPath, fmt.Sprintf(`{"event":"e","payload":%d}`, i))
	}
	h := call[historyJSON](s, 200, "GET", eventsPath+"?limit=2&after="+start, "")
	if h.Reset == nil || h.Reset.Reason != "trimmed" || h.Reset.Requested != start || len(h.Events) != 2 ||
		string(h.Events[0].Payload) != "4" {
		t.Errorf("%+v", h)
	}
	rest := call[historyJSON](s, 200, "GET", eventsPath+"?after="+h.Position, "")
	if rest.Reset != nil || len(rest.Events) != 3 || string(rest.Events[0].Payload) != "6" {
		t.Errorf("%+v", rest)
	}
	for _, c := range []struct{ position, reason string }{
		{"wrong-1.3", "epoch"},
		{h.Position[:strings.Index(h.Position, ".")] + ".99", "ahead"},
		{start, "trimmed"},
	} {
		sub := s.stream("GET", eventsPath+"?after="+c.position, "")
		if hello := sub.want("hello"); !strings.Contains(hello.data, `"recovered":false`) {
			t.Errorf("%s: %+v", c.reason, hello)
		}
		reset := sub.want("reset")
		if r := parse[struct{ Reason, Requested, From string }](t, reset); r.Reason != c.reason ||
			r.Requested != c.position || reset.id != "" {
			t.Errorf("%+v, want %s", r, c.reason)
		}
		if e := parse[envelope](t, sub.want("e")); string(e.Payload) != "4" {
			t.Errorf("after the reset came %s", e.Payload)
		}
	}
}

func TestEphemeralEvents(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	sub := s.stream("GET", eventsPath, "")
	sub.want("hello")
	out := call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"cursor","ephemeral":true,"payload":{"line":1}}`)
	if out.Events[0].Position != nil {
		t.Errorf("%+v", out)
	}
	if b := sub.want("cursor"); b.id != "" || strings.Contains(b.data, `"position"`) {
		t.Errorf("%+v", b)
	}
	call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"cursor","ephemeral":true,"payload":{"line":2}}`)
	late := s.stream("GET", eventsPath, "")
	late.want("hello")
	if e := parse[envelope](t, late.want("cursor")); string(e.Payload) != `{"line":2}` {
		t.Errorf("a late joiner sees %s", e.Payload)
	}
	if h := call[historyJSON](s, 200, "GET", eventsPath, ""); len(h.Events) != 0 {
		t.Errorf("history holds %+v", h.Events)
	}
}

func TestManyTopicsHaveOneID(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	const path = "/v1/events?topic=a&topic=b&topic=c"
	publish := func(topic string, n int) {
		call[publishedJSON](s, 200, "POST", "/v1/topics/"+topic+"/events", fmt.Sprintf(`{"event":"e","payload":%d}`, n))
	}
	sub := s.stream("GET", path, "")
	sub.want("hello")
	publish("a", 1)
	first := sub.want("e")
	publish("b", 2)
	second := sub.want("e")
	publish("c", 3)
	publish("a", 4)
	if len(second.id) > log.MaxVector || first.id == second.id {
		t.Errorf("ids %q and %q", first.id, second.id)
	}
	for _, c := range []struct {
		after string
		want  string
	}{{first.id, "2 3 4"}, {second.id, "3 4"}, {"0", "1 2 3 4"}} {
		again := s.stream("GET", path+"&after="+c.after, "")
		if hello := again.want("hello"); !strings.Contains(hello.data, `"recovered":true`) {
			t.Errorf("%+v", hello)
		}
		got := map[string]bool{}
		for range strings.Fields(c.want) {
			got[string(parse[envelope](t, again.want("e")).Payload)] = true
		}
		for _, want := range strings.Fields(c.want) {
			if !got[want] {
				t.Errorf("after %s: %v, want %s", c.after, got, c.want)
			}
		}
	}
	wrong := "/v1/events?topic=a&topic=b&after=" + first.id
	if p := call[problem](s, 400, "GET", wrong, "", "Accept: text/event-stream"); p.Field != "?after" {
		t.Errorf("an id of other topics: %+v", p)
	}
}

// TestManyTopicsResetAlone: a topic that cannot be resumed gets its own reset; the others go on.
func TestManyTopicsResetAlone(t *testing.T) {
	s := startServer(t, nil, hub.Limits{HistoryEvents: 2}, nil)
	sub := s.stream("GET", "/v1/events?topic=a&topic=b", "")
	hello := parse[struct{ Position string }](t, sub.want("hello"))
	for i := range 4 {
		call[publishedJSON](s, 200, "POST", "/v1/topics/a/events", fmt.Sprintf(`{"event":"e","payload":%d}`, i))
	}
	call[publishedJSON](s, 200, "POST", "/v1/topics/b/events", `{"event":"e","payload":"b"}`)
	again := s.stream("GET", "/v1/events?topic=a&topic=b&after="+hello.Position, "")
	again.want("hello")
	if r := parse[struct{ Reason, Topic string }](t, again.want("reset")); r.Topic != "a" || r.Reason != "trimmed" {
		t.Errorf("%+v", r)
	}
	var got []string
	for range 3 {
		got = append(got, string(parse[envelope](t, again.want("e")).Payload))
	}
	if strings.Join(got, " ") != `2 3 "b"` {
		t.Errorf("after the reset: %v", got)
	}
}

func TestTopicNamesMayHoldSlashes(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	call[publishedJSON](s, 200, "POST", "/v1/topics/code:file:lib/a.ex/events", `{"event":"e"}`)
	h := call[historyJSON](s, 200, "GET", "/v1/topics/code:file:lib%2Fa.ex/events", "")
	if len(h.Events) != 1 || h.Events[0].Topic != "code:file:lib/a.ex" {
		t.Errorf("%+v", h)
	}
	call[publishedJSON](s, 200, "POST", "/v1/topics/a%2520b/events", `{"event":"e"}`)
	if h := call[historyJSON](s, 200, "GET", "/v1/topics/a%2520b/events", ""); len(h.Events) != 1 ||
		h.Events[0].Topic != "a%20b" {
		t.Errorf("%+v", h)
	}
}

func TestPaddingHeartbeatsMaxAndDrain(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		sub := s.stream("GET", eventsPath+"?pad=4096&hb=1&max=3", "")
		sub.want("hello")
		if len(sub.comments) != 1 || len(sub.comments[0]) != 4095 {
			t.Errorf("%d comments before hello", len(sub.comments))
		}
		bye := sub.want("bye")
		if bye.data != `{"reason":"max"}` || bye.retry != "50" || len(sub.comments) == 0 {
			t.Errorf("%+v after %d heartbeats", bye, len(sub.comments))
		}
		if _, ok := sub.next(); ok {
			t.Error("the response goes on after bye")
		}
		sub = s.stream("GET", eventsPath, "")
		sub.want("hello")
		go s.hub.Drain(t.Context())
		if bye := sub.want("bye"); bye.data != `{"reason":"drain"}` || bye.retry == "" {
			t.Errorf("%+v", bye)
		}
		if p := call[problem](s, http.StatusServiceUnavailable, "POST", eventsPath, `{"event":"e"}`); p.Code != "draining" {
			t.Errorf("%+v", p)
		}
	})
}

// TestResponseEndsWithItsToken: a response ends with a bye when its token expires, and the reconnect gets 401.
func TestResponseEndsWithItsToken(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		short := "Authorization: Bearer " + tokenFor(t, "u", 5*time.Second, "*=*")
		sub := s.stream("GET", eventsPath, "", short)
		sub.want("hello")
		if bye := sub.want("bye"); bye.data != `{"reason":"unauthorized"}` {
			t.Errorf("%+v", bye)
		}
		if _, ok := sub.next(); ok {
			t.Error("the response goes on after bye")
		}
		call[problem](s, http.StatusUnauthorized, "GET", eventsPath, "", short)
	})
}

// TestCutAfterHelloLosesNothing: an EventSource that is cut before its first event reconnects with the id of hello, and
// misses nothing.
func TestCutAfterHelloLosesNothing(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	for _, path := range []string{eventsPath, "/v1/events?topic=a&topic=code:project:42"} {
		sub := s.stream("GET", path, "")
		hello := sub.want("hello")
		sub.resp.Body.Close()
		call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"missed"}`)
		again := s.stream("GET", path, "", "Last-Event-ID: "+hello.id)
		if b := again.want("hello"); hello.id == "" || !strings.Contains(b.data, `"recovered":true`) {
			t.Errorf("%+v, then %+v", hello, b)
		}
		again.want("missed")
	}
}
