package crash_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// lostReader reads a stream over one connection until that ends, or until it is told that the stream's text differs
// from what it has read.
type lostReader struct {
	name  string
	got   atomic.Pointer[string]
	ended chan error
}

func (r *lostReader) has(part string) bool {
	got := r.got.Load()
	return got != nil && strings.Contains(*got, part)
}

// readOn collects what read returns.
func readOn(name, told string, read func() ([]byte, error)) *lostReader {
	r := &lostReader{name: name, ended: make(chan error, 1)}
	go func() {
		got := ""
		for {
			b, err := read()
			got += string(b)
			r.got.Store(new(got))
			if err != nil || told != "" && strings.Contains(got, told) {
				r.ended <- err
				return
			}
		}
	}()
	return r
}

func readBody(t *testing.T, ctx context.Context, c *client, name, told, path string, header ...string) *lostReader {
	t.Helper()
	resp, err := c.http.Do(c.request("GET", path, "", header...).WithContext(ctx))
	if err != nil || resp.StatusCode >= 300 {
		t.Fatal(err, resp)
	}
	t.Cleanup(func() { resp.Body.Close() })
	b := make([]byte, 1<<16)
	return readOn(name, told, func() ([]byte, error) { n, err := resp.Body.Read(b); return b[:n], err })
}

func readSocket(t *testing.T, ctx context.Context, c *client, name, told string, frames ...string) *lostReader {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+c.s.addr+"/socket/websocket?vsn=2.0.0&token="+c.token, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	for _, f := range frames {
		if err := conn.Write(ctx, websocket.MessageText, []byte(f)); err != nil {
			t.Fatal(err)
		}
	}
	return readOn(name, told, func() ([]byte, error) { _, b, err := conn.Read(ctx); return append(b, '\n'), err })
}

// TestReadersOfALostStream has a node that is cut off lose streams to another node that has less of their text. Its
// readers have read more than that. Each is told so, in the form of its transport, or its response is aborted; none
// receives text twice without notice.
func TestReadersOfALostStream(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	server := redistest.Start(t)
	l := newLine(t, "127.0.0.1:"+server.Port)
	model := "DUCKWIRE_UPSTREAM_URL=" + slowUpstream(t, 1_000_000, make(chan struct{}))
	a, b := newServer(t, "DUCKWIRE_REDIS_URL=redis://"+l.addr, lease, model),
		newServer(t, "DUCKWIRE_REDIS_URL="+server.URL(), lease, model)
	a.start()
	b.start()
	ctx := t.Context()
	ca, cb := a.client("ada"), b.client("ada")
	post := func(path, body string, want int, out any, header ...string) {
		t.Helper()
		if status, answer := ca.call("POST", path, body, out, header...); status != want {
			t.Fatal(path, status, answer)
		}
	}
	var completion struct{ ID string }
	post("/v1/streams", `{"id":"build"}`, http.StatusCreated, nil)
	post("/v1/streams/build/append", "kept", http.StatusOK, nil, "Content-Type", "text/plain")
	post("/v1/completions", `{"prompt":"x","model":"m"}`, http.StatusAccepted, &completion, "Prefer", "respond-async")
	channel := readSocket(t, ctx, ca, "channel", `"code":"reset"`, `["1","1","code:file:x","phx_join",{}]`,
		`["1","2","code:file:x","request_completion",`+
			`{"id":"asked","model":"m","code":"xy","cursor_position":{"line":1,"column":1}}]`)
	state := func(c *client, id string) string {
		_, answer := c.call("GET", "/v1/streams/"+id, "", nil, "Accept", "application/json")
		return answer
	}
	hubtest.Until(t, "the other node to have all", func() bool {
		return strings.Contains(state(cb, "build"), `"kept"`) &&
			strings.Contains(state(cb, completion.ID), `"running"`) && strings.Contains(state(cb, "asked"), `"running"`)
	})

	l.cut(true)
	const lost = " and lost"
	var receipt struct{ Position string }
	post("/v1/streams/build/append", lost, http.StatusOK, &receipt, "Content-Type", "text/plain")
	readers := []*lostReader{
		readBody(t, ctx, ca, "events", "event: reset", "/v1/streams/build", "Accept", "text/event-stream"),
		readBody(t, ctx, ca, "lines", `{"event":"reset"`, "/v1/streams/build", "Accept", "application/x-ndjson"),
		readBody(t, ctx, ca, "text", "", "/v1/streams/build", "Accept", "text/plain"),
		readSocket(t, ctx, ca, "socket", `"reset"`, `["1","1","stream:build","phx_join",{}]`),
	}
	for _, r := range readers {
		hubtest.Until(t, r.name+" to have it", func() bool { return r.has(lost) })
	}
	chunks := readBody(t, ctx, ca, "OpenAI", "", "/v1/streams/"+completion.ID+"?format=openai", "Accept",
		"text/event-stream")
	readers = append(readers, chunks, channel)
	poll := make(chan string, 1)
	go func() {
		_, answer := ca.call("GET", "/v1/streams/build?wait=60&after="+receipt.Position, "", nil, "Accept",
			"application/json")
		poll <- answer
	}()
	hubtest.Until(t, "the other node to have taken all", func() bool {
		return strings.Contains(state(cb, "build"), `"interrupted"`) &&
			strings.Contains(state(cb, completion.ID), `"interrupted"`) &&
			strings.Contains(state(cb, "asked"), `"interrupted"`)
	})

	l.cut(false)
	for _, r := range readers {
		err := hubtest.Recv(t, r.name+" to be told", r.ended)
		switch got := *r.got.Load(); {
		case r.name == "text" && (got != "kept"+lost || err == nil || err == io.EOF):
			t.Errorf("text: %q, %v", got, err)
		case r.name == "OpenAI" && (err == nil || err == io.EOF || strings.Contains(got, "event:") ||
			strings.Contains(got, "[DONE]")):
			t.Errorf("OpenAI: %v, …%s", err, got[max(0, len(got)-300):])
		case r.name == "channel" && !strings.Contains(got, `"completion_error"`):
			t.Errorf("channel: …%s", got[max(0, len(got)-300):])
		case r.name != "text" && r.name != "OpenAI" && err != nil && err != io.EOF:
			t.Errorf("%s: %v after %s", r.name, err, got)
		}
	}
	answer := hubtest.Recv(t, "the poll to be told", poll)
	if !strings.Contains(answer, `"reset":{"reason":"ahead"`) || !strings.Contains(answer, `"text":"kept"`) {
		t.Errorf("JSON: %s", answer)
	}
	a.stop()
	b.stop()
}
