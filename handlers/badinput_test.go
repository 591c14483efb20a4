package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
)

// logBuffer is a log that several goroutines can write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestBadInput: on every path, invalid input is answered with a problem document that names the field, and is not
// logged as an error of the server.
func TestBadInput(t *testing.T) {
	log := &logBuffer{}
	limits := hub.Limits{MessageBytes: 1000, BatchEvents: 2, StreamBytes: 5000}
	s := startServer(t, scripted(hello), limits, func(o *handlers.Options) {
		o.BodyBytes, o.TopicsPerSession = 10_000, 3
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	stream := newTestStream(s, `{"id":"s1"}`)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	ndj := []string{ndjson}
	txt := []string{"Content-Type: text/plain"}
	sse := []string{"Accept: text/event-stream"}
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		field                    string // of the problem, or OpenAI's param
	}{
		// The OpenAI doors.
		{"no body", "POST", chatPath, "", nil, 400, "body"},
		{"not JSON", "POST", chatPath, "{", nil, 400, "body"},
		{"not an object", "POST", chatPath, "[]", nil, 400, "body"},
		{"two values", "POST", chatPath, "{} {}", nil, 400, "body"},
		{"not UTF-8", "POST", chatPath, "{\"model\":\"\xff\"}", nil, 400, "body"},
		{"too deep", "POST", chatPath, `{"messages":` + deep + `}`, nil, 413, ""},
		{"no messages", "POST", chatPath, `{}`, nil, 400, "messages"},
		{"messages of the wrong type", "POST", chatPath, `{"messages":"x"}`, nil, 400, "messages"},
		{"a message of the wrong type", "POST", chatPath, `{"messages":["x"]}`, nil, 400, "messages[0]"},
		{"stream of the wrong type", "POST", chatPath, chatBody(`,"stream":"yes"`), nil, 400, "stream"},
		{"no prompt", "POST", "/v1/completions", `{}`, nil, 400, "prompt"},
		{"prompt of the wrong type", "POST", "/v1/completions", `{"prompt":{}}`, nil, 400, "prompt"},
		{"keep of the wrong type", "POST", chatPath, chatBody(``), []string{"Duckwire-Keep: soon"}, 400, "Duckwire-Keep"},
		{"unknown extension", "POST", chatPath, chatBody(`,"duckwire":{"kept":1}`), nil, 400, "duckwire.kept"},
		{"extension of the wrong type", "POST", chatPath, chatBody(`,"duckwire":[]`), nil, 400, "duckwire"},
		{"control character in the id", "POST", chatPath, chatBody(`,"duckwire":{"id":"a\nb"}`), nil, 400, "duckwire.id"},
		{
			"bad keep", "POST", chatPath, chatBody(`,"duckwire":{"keep":{"cancel_after":-1}}`), nil, 400,
			"duckwire.keep.cancel_after",
		},
		{"bad topic", "POST", chatPath, chatBody(`,"duckwire":{"topic":"a*"}`), nil, 400, "duckwire.topic"},
		{
			"bad supersede", "POST", chatPath, chatBody(`,"duckwire":{"slot":"a","supersede":"maybe"}`), nil, 400,
			"duckwire.supersede",
		},
		{"body over the limit", "POST", chatPath, chatBody(`,"x":"` + strings.Repeat("x", 10_000) + `"`), nil, 413, ""},
		{"GET on a door", "GET", chatPath, "", nil, 405, ""},
		// Streams.
		{"stream: not JSON", "POST", "/v1/streams", "x", nil, 400, "body"},
		{"stream: unknown member", "POST", "/v1/streams", `{"knd":"x"}`, nil, 400, "knd"},
		{"stream: wrong type", "POST", "/v1/streams", `{"kind":7}`, nil, 400, "kind"},
		{"stream: bad id", "POST", "/v1/streams", `{"id":"a b"}`, nil, 400, "id"},
		{"stream: bad kind", "POST", "/v1/streams", `{"kind":"a\u0000"}`, nil, 400, "kind"},
		{"stream: bad topic", "POST", "/v1/streams", `{"topic":"a\u0001"}`, nil, 400, "topic"},
		{"stream: bad keep", "POST", "/v1/streams", `{"keep":"forever"}`, nil, 400, "keep"},
		{"stream: bad content type", "POST", "/v1/streams", `{"content_type":"///"}`, nil, 400, "content_type"},
		{"stream: unknown id", "GET", "/v1/streams/nope", "", nil, 404, ""},
		{"stream: bad position", "GET", stream + "?after=x", "", sse, 400, "?after"},
		{"stream: long position", "GET", stream + "?after=" + strings.Repeat("a", 99) + ".1", "", sse, 400, "?after"},
		{"stream: negative position", "GET", stream + "?after=a.-1", "", sse, 400, "?after"},
		{"stream: absurd position", "GET", stream + "?after=a.99999999999999999999", "", sse, 400, "?after"},
		{"stream: bad hb", "GET", stream + "?hb=0", "", sse, 400, "?hb"},
		{"stream: bad pad", "GET", stream + "?pad=-1", "", sse, 400, "?pad"},
		{"stream: huge pad", "GET", stream + "?pad=99999999", "", sse, 400, "?pad"},
		{"stream: bad max", "GET", stream + "?max=soon", "", sse, 400, "?max"},
		{"stream: bad wait", "GET", stream + "?wait=-1", "", nil, 400, "?wait"},
		{"stream: bad format", "GET", stream + "?format=xml", "", nil, 400, "?format"},
		{"stream: openai of no completion", "GET", stream + "?format=openai", "", nil, 400, "?format"},
		{"stream: unknown media type", "GET", stream, "", []string{"Accept: image/png"}, 406, ""},
		{"streams: bad limit", "GET", "/v1/streams?limit=0", "", nil, 400, "?limit"},
		{"streams: bad status", "GET", "/v1/streams?status=sad", "", nil, 400, "?status"},
		{"append: not JSON", "POST", stream + "/append", "x", ndj, 400, "line 1"},
		{"append: second line", "POST", stream + "/append", "{\"text\":\"a\"}\n7", ndj, 400, "line 2"},
		{"append: text of the wrong type", "POST", stream + "/append", `{"text":7}`, ndj, 400, "line 1.text"},
		{"append: bad event name", "POST", stream + "/append", `{"event":"a\nb"}`, ndj, 400, "line 1.event"},
		{"append: bad status", "POST", stream + "/append", `{"event":"end","status":"sad"}`, ndj, 400, "line 1.status"},
		{"append: not UTF-8", "POST", stream + "/append", "ab\xffcd", txt, 400, "body"},
		{"append: over the stream's limit", "POST", stream + "/append", strings.Repeat("x", 6000), txt, 413, ""},
		{"append: over the body's limit", "POST", stream + "/append", strings.Repeat("x", 10_001), txt, 413, ""},
		{"append: unknown stream", "POST", "/v1/streams/nope/append", "x", txt, 404, ""},
		{"append: half the producer", "POST", stream + "/append", "x", []string{"Producer-Id: p"}, 400, "Producer-Epoch"},
		{
			"append: negative sequence", "POST", stream + "/append", "x",
			[]string{"Producer-Id: p", "Producer-Epoch: 0", "Producer-Seq: -1"},
			400, "Producer-Seq",
		},
		{
			"append: absurd sequence", "POST", stream + "/append", "x",
			[]string{"Producer-Id: p", "Producer-Epoch: 0", "Producer-Seq: 9007199254740992"},
			400, "Producer-Seq",
		},
		// Topics.
		{"publish: empty", "POST", eventsPath, "", nil, 400, "body"},
		{"publish: not JSON", "POST", eventsPath, "nope", nil, 400, "body"},
		{"publish: no name", "POST", eventsPath, `{}`, nil, 400, "event"},
		{"publish: name of the wrong type", "POST", eventsPath, `{"event":7}`, nil, 400, "event"},
		{"publish: newline in the name", "POST", eventsPath, `{"event":"a\nid: 9"}`, nil, 400, "event"},
		{"publish: long name", "POST", eventsPath, `{"event":"` + strings.Repeat("x", 129) + `"}`, nil, 400, "event"},
		{"publish: reserved name", "POST", eventsPath, `{"event":"phx_join"}`, nil, 400, "event"},
		{"publish: bad id", "POST", eventsPath, `{"event":"a","id":"\u0000"}`, nil, 400, "id"},
		{"publish: unknown member", "POST", eventsPath, `{"event":"a","pauload":1}`, nil, 400, "pauload"},
		{
			"publish: large payload", "POST", eventsPath, `{"event":"a","payload":"` + strings.Repeat("x", 1000) + `"}`, nil,
			413, "",
		},
		{"publish: bad second", "POST", eventsPath, `[{"event":"a"},{"event":""}]`, nil, 400, "events[1].event"},
		{"publish: large batch", "POST", eventsPath, `[{"event":"a"},{"event":"b"},{"event":"c"}]`, nil, 413, ""},
		{"publish: empty batch", "POST", eventsPath, `[]`, nil, 400, "events"},
		{"publish: for nobody", "POST", eventsPath, `{"event":"a","durable":true}`, nil, 400, "to"},
		{"publish: for somebody, and not durable", "POST", eventsPath, `{"event":"a","to":["x"]}`, nil, 400, "to"},
		{
			"publish: durable and ephemeral", "POST", eventsPath, `{"event":"a","to":["x"],"durable":true,"ephemeral":true}`,
			nil, 400, "durable",
		},
		{"publish: for no user", "POST", eventsPath, `{"event":"a","to":["x*"],"durable":true}`, nil, 400, "user"},
		{
			"publish: for too many", "POST", eventsPath,
			`{"event":"a","to":["x"` + strings.Repeat(`,"x"`, 100) + `],"durable":true}`, nil, 413, "",
		},
		{"publish: batch with more", "POST", eventsPath, `{"events":[{"event":"a"}],"event":"a"}`, nil, 400, "event"},
		{"publish: control character in the topic", "POST", "/v1/topics/a%00b/events", `{"event":"a"}`, nil, 400, "topic"},
		{"publish: pattern as topic", "POST", "/v1/topics/a*/events", `{"event":"a"}`, nil, 400, "topic"},
		{"publish: topic not UTF-8", "POST", "/v1/topics/a%ff/events", `{"event":"a"}`, nil, 400, "topic"},
		{
			"publish: long topic", "POST", "/v1/topics/" + strings.Repeat("x", 256) + "/events", `{"event":"a"}`, nil, 400,
			"topic",
		},
		{"history: bad limit", "GET", eventsPath + "?limit=-3", "", nil, 400, "?limit"},
		{"history: huge limit", "GET", eventsPath + "?limit=99999999999999999999", "", nil, 400, "?limit"},
		{"history: bad wait", "GET", eventsPath + "?wait=61", "", nil, 400, "?wait"},
		{"history: bad position", "GET", eventsPath + "?after=%00", "", nil, 400, "?after"},
		{"history: unknown media type", "GET", eventsPath, "", []string{"Accept: image/png"}, 406, ""},
		{"many: no topic", "GET", "/v1/events", "", sse, 400, "?topic"},
		{"many: twice the same", "GET", "/v1/events?topic=a&topic=a", "", sse, 400, "?topic"},
		{"many: too many", "GET", "/v1/events?topic=a&topic=b&topic=c&topic=d", "", sse, 413, ""},
		{"many: bad id", "GET", "/v1/events?topic=a&after=x", "", sse, 400, "?after"},
		// Queues.
		{"message: empty", "POST", messagesPath, "", nil, 400, "body"},
		{"message: no name", "POST", messagesPath, `{}`, nil, 400, "event"},
		{"message: reserved name", "POST", messagesPath, `{"event":"phx_close"}`, nil, 400, "event"},
		{"message: bad id", "POST", messagesPath, `{"event":"a","id":"a b"}`, nil, 400, "id"},
		{"message: bad topic", "POST", messagesPath, `{"event":"a","topic":"a*"}`, nil, 400, "topic"},
		{"message: unknown member", "POST", messagesPath, `{"event":"a","ttl":1}`, nil, 400, "ttl"},
		{"message: payload and bytes", "POST", messagesPath, `{"event":"a","payload":1,"bytes":"AA=="}`, nil, 400, "bytes"},
		{"message: bad second", "POST", messagesPath, `[{"event":"a"},{"event":7}]`, nil, 400, "messages.event"},
		{"message: empty batch", "POST", messagesPath, `{"messages":[]}`, nil, 400, "messages"},
		{"message: batch of the wrong type", "POST", messagesPath, `{"messages":{}}`, nil, 400, "messages"},
		{"message: large batch", "POST", messagesPath, `[{"event":"a"},{"event":"b"},{"event":"c"}]`, nil, 413, ""},
		{
			"message: large payload", "POST", messagesPath, `{"event":"a","payload":"` + strings.Repeat("x", 1000) + `"}`, nil,
			413, "",
		},
		{"message: no such user", "POST", "/v1/users/a*/messages", `{"event":"a"}`, nil, 400, "user"},
		{"messages: bad limit", "GET", messagesPath + "?limit=1001", "", nil, 400, "?limit"},
		{"messages: bad wait", "GET", messagesPath + "?wait=x", "", nil, 400, "?wait"},
		{"messages: bad format", "GET", messagesPath + "?format=xml", "", nil, 400, "?format"},
		{"messages: bad position", "GET", messagesPath + "?after=x", "", nil, 400, "?after"},
		{"messages: vector of something else", "GET", messagesPath + "?after=x.Vxx", "", sse, 400, "?after"},
		{"messages: unknown media type", "GET", messagesPath, "", []string{"Accept: image/png"}, 406, ""},
		{"ack: nothing", "POST", messagesPath + "/ack", `{}`, nil, 400, "through"},
		{"ack: no position", "POST", messagesPath + "/ack", `{"through":"x"}`, nil, 400, "through"},
		{"ack: a position of another log", "POST", messagesPath + "/ack", `{"through":"abc-1.7"}`, nil, 400, "through"},
		{"ack: now", "POST", messagesPath + "/ack", `{"through":"now"}`, nil, 400, "through"},
		{"ack: number", "POST", messagesPath + "/ack", `{"through":7}`, nil, 400, "through"},
		{"ack: large body", "POST", messagesPath + "/ack", `{"through":"` + strings.Repeat("x", 10_000) + `"}`, nil, 413, ""},
		{"unknown path", "GET", "/v1/ducks", "", nil, 404, ""},
		{"wrong method", "PATCH", stream, "{}", nil, 405, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			resp := s.do(c.method, c.path, c.body, c.headers...)
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status {
				t.Fatalf("%s, want %d: %s", resp.Status, c.status, raw)
			}
			if field := checkProblem(t, resp, raw); field != c.field {
				t.Errorf("names the field %q, want %q: %s", field, c.field, raw)
			}
		})
	}
	if text := log.String(); strings.Contains(text, "internal error") || strings.Contains(text, "level=ERROR") {
		t.Errorf("logged as an error of ours: %s", text)
	}
	if st := call[streamJSON](s, 200, "GET", stream, ""); st.Bytes != 0 || st.Status == "interrupted" {
		t.Errorf("a refused append left something: %+v", st)
	}
}

// checkProblem checks the format of an error's body, and returns the field that it names.
func checkProblem(t *testing.T, resp *http.Response, raw []byte) string {
	t.Helper()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		var p struct{ Type, Title, Code, Detail, Field string }
		if err := json.Unmarshal(raw, &p); err != nil || p.Code == "" || p.Title == "" || p.Detail == "" || p.Type == "" {
			t.Errorf("no whole problem document (%v): %s", err, raw)
		}
		return p.Field
	}
	var e struct {
		Error struct {
			Message, Type string
			Param, Code   *string
		}
	}
	if err := json.Unmarshal(raw, &e); err != nil || e.Error.Message == "" || e.Error.Type == "" || e.Error.Code == nil {
		t.Errorf("no whole OpenAI error (%v): %s", err, raw)
	}
	if e.Error.Param == nil {
		return ""
	}
	return *e.Error.Param
}

// TestDeepJSONIsRefused: JSON that is nested too deeply is refused as an error in the body.
func TestDeepJSONIsRefused(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for path, body := range map[string]string{
		chatPath:   `{"messages":` + deep + `}`,
		eventsPath: `{"event":"a","payload":` + deep + `}`,
	} {
		resp := s.do("POST", path, body)
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s: %s", path, resp.Status, raw)
		}
	}
}

func TestConnectionCaps(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Connections, o.ConnectionsPerUser = 2, 1 })
	s.stream("GET", eventsPath, "").want("hello")
	if bye := s.stream("GET", eventsPath, "").want("bye"); bye.data != `{"reason":"overloaded"}` || bye.retry == "" {
		t.Errorf("an EventSource over its user's cap: %+v", bye)
	}
	path := newTestStream(s, `{}`)
	resp := s.do("GET", path, "", "Accept: text/plain")
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	as := func(user string) string { return "Authorization: Bearer " + token(t, user, "*=*") }
	s.stream("GET", eventsPath, "", as("v")).want("hello")
	s.stream("GET", eventsPath, "", as("w")).want("bye") // the server is full
}

func TestReadyWhileDraining(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.hub.Drain(ctx)
	if p := call[problem](s, 503, "GET", "/readyz", ""); p.Code != "draining" {
		t.Errorf("%+v", p)
	}
	call[any](s, 200, "GET", "/healthz", "")
}
