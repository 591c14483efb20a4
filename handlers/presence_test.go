package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

type presencesJSON map[string]struct{ Metas []map[string]any }

type presenceEvent struct {
	Topic, Sender string
	Position      *string
	Payload       json.RawMessage
}

type presenceDiff struct{ Joins, Leaves presencesJSON }

type topicPresence struct {
	Topic    string
	Presence presencesJSON
	Count    int
}

const presencePath = "/v1/topics/code:project:42/presence"

// wantState reads a block presence_state, and returns the presences.
func (r *sseReader) wantState(topic string) presencesJSON {
	r.t.Helper()
	b := r.want("presence_state")
	e := parse[presenceEvent](r.t, b)
	if e.Topic != topic || e.Position != nil || b.id != "" {
		r.t.Errorf("%+v", b)
	}
	return parse[presencesJSON](r.t, block{data: string(e.Payload)})
}

// wantDiff reads a block presence_diff.
func (r *sseReader) wantDiff() presenceDiff {
	r.t.Helper()
	b := r.want("presence_diff")
	e := parse[presenceEvent](r.t, b)
	if e.Position != nil || b.id != "" {
		r.t.Errorf("%+v", b)
	}
	return parse[presenceDiff](r.t, block{data: string(e.Payload)})
}

func TestPresenceOverSSE(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.PresenceGrace = 50 * time.Millisecond })
	ada := s.stream("GET", eventsPath+"?client=tab-1&presence="+url.QueryEscape(`{"file":"main.go"}`), "")
	ada.want("hello")
	state := ada.wantState("code:project:42")
	if m := state["u"].Metas; len(state) != 1 || len(m) != 1 || m[0]["file"] != "main.go" || m[0]["online_at"] == nil ||
		m[0]["phx_ref"] == nil {
		t.Errorf("%v", state)
	}
	silent := s.stream("GET", eventsPath, "") // may only subscribe
	silent.want("hello")
	bob := "Authorization: Bearer " + token(t, "bob", "code:*=subscribe,presence")
	sub := s.stream("GET", eventsPath+"?presence=", "", bob)
	sub.want("hello")
	if state := sub.wantState("code:project:42"); len(state) != 2 {
		t.Errorf("%v", state)
	}
	d := ada.wantDiff()
	if len(d.Joins) != 1 || len(d.Joins["bob"].Metas) != 1 || len(d.Leaves) != 0 {
		t.Errorf("%+v", d)
	}
	got := call[topicPresence](s, 200, "GET", presencePath, "")
	if got.Topic != "code:project:42" || got.Count != 2 || len(got.Presence) != 2 {
		t.Errorf("%+v", got)
	}
	sub.resp.Body.Close()
	if d = ada.wantDiff(); len(d.Joins) != 0 || len(d.Leaves["bob"].Metas) != 1 {
		t.Errorf("%+v", d)
	}
	call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"e"}`)
	if b := ada.want("e"); b.id == "" {
		t.Errorf("%+v", b)
	}
	silent.want("e")
}

// TestPresenceOverSSESurvivesABlip: other users do not notice a connection that is cut and comes back, or one that is
// replaced before its end is detected.
func TestPresenceOverSSESurvivesABlip(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		bob := "Authorization: Bearer " + token(t, "bob", "*=*")
		for _, path := range []string{eventsPath + "?presence=1", eventsPath + "?presence=1&client=tab"} {
			ada := s.stream("GET", path+"&max=1", "")
			ada.want("hello")
			was := ada.wantState("code:project:42")["u"].Metas
			watcher := s.stream("GET", eventsPath+"?presence=1&client=bob", "", bob)
			watcher.want("hello")
			watcher.wantState("code:project:42")
			if !strings.HasSuffix(path, "tab") { // otherwise the old connection is still open
				ada.want("presence_diff")
				ada.want("bye")
				if b, ok := ada.next(); ok {
					t.Errorf("%+v after bye", b)
				}
			}
			again := s.stream("GET", path, "")
			again.want("hello")
			if is := again.wantState("code:project:42")["u"].Metas; fmt.Sprint(is) != fmt.Sprint(was) {
				t.Errorf("%v, was %v", is, was)
			}
			call[publishedJSON](s, 200, "POST", eventsPath, `{"event":"quiet"}`)
			watcher.want("quiet")
			again.resp.Body.Close()
			watcher.resp.Body.Close()
		}
	})
}

func TestPresenceOnManyTopics(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	sub := s.stream("GET", "/v1/events?topic=a&topic=b&presence=1", "")
	sub.want("hello")
	for _, topic := range []string{"a", "b"} {
		if state := sub.wantState(topic); len(state["u"].Metas) != 1 {
			t.Errorf("%v", state)
		}
	}
	p, err := s.hub.Track("b", "__proto__", "", json.RawMessage(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if d := sub.wantDiff(); len(d.Joins["__proto__"].Metas) != 1 {
		t.Errorf("%+v", d)
	}
	p.Leave()
	if d := sub.wantDiff(); len(d.Leaves["__proto__"].Metas) != 1 {
		t.Errorf("%+v", d)
	}
	if got := call[topicPresence](s, 200, "GET", "/v1/topics/nobody/presence", ""); got.Count != 0 || got.Presence == nil {
		t.Errorf("%+v", got)
	}
}

// TestPresenceTellsAllAnewAfterALoss: a client that falls behind the log is sent the whole state again, and nothing
// twice.
func TestPresenceTellsAllAnewAfterALoss(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	reader, err := s.hub.SubscribePresence("t", log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	written := handlers.FollowPresence(reader)
	if got := written(); strings.Count(got, "event: presence_state") != 1 || !strings.Contains(got, `"payload":{},`) {
		t.Errorf("first: %s", got)
	}
	for i := range 1000 {
		if _, err := s.hub.Track("t", fmt.Sprint("u", i), "", nil); err != nil {
			t.Fatal(err)
		}
	}
	got := written()
	if strings.Count(got, "event: ") != 1 || !strings.HasPrefix(got, "event: presence_state\n") ||
		strings.Count(got, `"metas"`) != 1000 {
		t.Errorf("after the loss: %.300s", got)
	}
	if got := written(); got != "" {
		t.Errorf("then: %s", got)
	}
}

func TestPresenceAnswers(t *testing.T) {
	s := startServer(t, nil, hub.Limits{PresencePerTopic: 1, PresenceMetaBytes: 100}, nil)
	any := "Accept: */*" // not an EventSource: it gets a status
	for _, c := range []struct {
		query  string
		status int
		field  string
	}{
		{"format=sse&presence=yes", 400, "?presence"},
		{"format=sse&presence={", 400, "?presence"},
		{"format=sse&presence={}x", 400, "?presence"},
		{"format=sse&presence=1&client=a%20b", 400, "?client"},
		{"format=sse&client=", 400, "?client"},
		{"format=json&presence=1", 400, "?presence"},
		{"format=sse&presence={\"a\":\"" + strings.Repeat("x", 100) + "\"}", 413, ""},
	} {
		if p := call[problem](s, c.status, "GET", eventsPath+"?"+c.query, "", any); p.Field != c.field {
			t.Errorf("%s: %+v", c.query, p)
		}
	}
	s.expect(413, "GET", "/v1/events?topic=t&presence={\"a\":\""+strings.Repeat("x", 100)+"\"}", "", any)
	s.expect(400, "GET", "/v1/topics/a::b/presence", "")
	if got := call[topicPresence](s, 200, "GET", presencePath, ""); got.Count != 0 {
		t.Errorf("who was refused is present: %+v", got)
	}
	s.stream("GET", eventsPath+"?presence=1", "").want("hello")
	s.expect(429, "GET", eventsPath+"?format=sse&presence=1", "", any, "Authorization: Bearer "+token(t, "bob", "*=*"))
	// If one of two topics is full, the client is present on neither.
	s.expect(
		429, "GET", "/v1/events?topic=free&topic=code:project:42&presence=1", "", any,
		"Authorization: Bearer "+token(t, "bob", "*=*"),
	)
	if got := call[topicPresence](s, 200, "GET", "/v1/topics/free/presence", ""); got.Count != 0 {
		t.Errorf("%+v", got)
	}
	for _, caps := range []string{"code:*=subscribe", "code:*=presence"} {
		s.expect(403, "GET", eventsPath+"?format=sse&presence=1", "", "Authorization: Bearer "+token(t, "bob", caps))
	}
	s.expect(
		403, "GET", "/v1/events?topic=a&topic=b&presence=1", "", any,
		"Authorization: Bearer "+token(t, "bob", "*=subscribe", "a=presence"),
	)
	s.expect(403, "GET", presencePath, "", "Authorization: Bearer "+token(t, "bob", "code:*=publish"))
	undecidedServer := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Authorizer = undecided{} })
	undecidedServer.expect(503, "GET", presencePath, "")
}
