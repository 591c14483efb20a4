package handlers_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// block is one block of an event stream as a strict client parses it.
type block struct{ event, data, id, retry string }

// sseReader reads an event stream block by block.
type sseReader struct {
	t        testing.TB
	resp     *http.Response
	lines    *bufio.Reader
	comments []string // seen before the last block
}

// stream opens an event stream, which is closed at the end of the test.
func (s *testServer) stream(method, path, body string, headers ...string) *sseReader {
	s.t.Helper()
	resp := s.do(method, path, body, append([]string{"Accept: text/event-stream"}, headers...)...)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return &sseReader{t: s.t, resp: resp, lines: bufio.NewReader(resp.Body)}
}

// next returns the next block; ok is false at the end of the response.
func (r *sseReader) next() (b block, ok bool) {
	r.t.Helper()
	r.comments = nil
	guard := time.AfterFunc(hubtest.Hung, func() { r.resp.Body.Close() })
	defer guard.Stop()
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return b, false
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			return b, true
		case line[0] == ':':
			r.comments = append(r.comments, line)
		case name == "event":
			b.event = value
		case name == "data":
			b.data += value
		case name == "id":
			b.id = value
		case name == "retry":
			b.retry = value
		default:
			r.t.Errorf("unknown line %q", line)
		}
	}
}

// want reads one block, which must have the event.
func (r *sseReader) want(event string) block {
	r.t.Helper()
	b, ok := r.next()
	if !ok || b.event != event {
		r.t.Fatalf("got %+v (ok %v), want a block %q", b, ok, event)
	}
	return b
}

// parse decodes a block's data.
func parse[T any](t testing.TB, b block) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(b.data), &v); err != nil {
		t.Fatalf("data %q: %v", b.data, err)
	}
	return v
}

// envelope is a topic's event as clients receive it.
type envelope struct {
	ID, Topic, Event, Sender, Time, Position string
	Payload                                  json.RawMessage
}
