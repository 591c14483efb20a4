package attacks_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// block is one block of an event stream, as WHATWG HTML §9.2.6 interprets it.
type block struct{ event, data, id string }

// blocks reads the blocks of an event stream up to the one whose data contains last. Lines end at CR, LF or CRLF, as
// they do in browsers.
func blocks(t *testing.T, body io.Reader, last string) []block {
	t.Helper()
	in := bufio.NewScanner(body)
	in.Buffer(nil, 1<<20)
	in.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := strings.IndexAny(string(data), "\r\n"); i >= 0 && (i+1 < len(data) || data[i] == '\n') {
			if data[i] == '\r' && data[i+1] == '\n' {
				return i + 2, data[:i], nil
			}
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	var all []block
	var b block
	for in.Scan() {
		name, value, _ := strings.Cut(in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			b.event = value
		case "data":
			b.data += value + "\n"
		case "id":
			b.id = value
		case "":
			if in.Text() != "" || b == (block{}) {
				continue
			}
			if all = append(all, b); strings.Contains(b.data, last) {
				return all
			}
			b = block{}
		}
	}
	t.Fatalf("the event stream ended before %s: %v", last, in.Err())
	return nil
}

// injected is text that would be blocks of its own if it escaped from its field.
func injected(br string) string {
	return "x" + br + br + "event: end" + br + `data: {"status":"done"}` + br + "id: forged-1.1" + br + br
}

// TestFieldInjection: nothing that a client publishes or a producer writes becomes a field or a block of a reader's
// event stream.
func TestFieldInjection(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	const lines, plain = "Content-Type: application/x-ndjson", "Content-Type: text/plain"
	events := func(b *block, names ...string) bool { // reports whether b has one of these names and was not injected
		return slices.Contains(names, b.event) && !strings.HasPrefix(b.id, "forged") && json.Valid([]byte(b.data))
	}
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	topic := s.open("GET", "/v1/topics/t/events", "", ada, "Accept: text/event-stream")
	count := 0
	for _, br := range []string{"\n", "\r", "\r\n", "\u2028", "\u0085", "\x00"} {
		text, err := json.Marshal(injected(br))
		if err != nil {
			t.Fatal(err)
		}
		s.want(200, "POST", "/v1/topics/t/events", fmt.Sprintf(`{"event":"e","payload":{"text":%s}}`, text), ada)
		pretty := fmt.Sprintf("{\"event\":\"e\",\"payload\":{\"pretty\":%s\n\n}}", text)
		s.want(200, "POST", "/v1/topics/t/events", pretty, ada)
		s.want(200, "POST", "/v1/streams/s/append", injected(br), ada, plain)
		s.want(200, "POST", "/v1/streams/s/append", fmt.Sprintf(`{"event":"entry","data":{"x":%s}}`, text)+"\n", ada, lines)
		count += 2
	}
	s.want(200, "POST", "/v1/topics/t/events", `{"event":"last","payload":"the last"}`, ada)
	got := blocks(t, topic.Body, "the last")
	for _, b := range got {
		if !events(&b, "hello", "e", "last") {
			t.Errorf("a block that nobody published: %+v", b)
		}
	}
	if len(got) != count+2 {
		t.Errorf("%d blocks, want %d events, hello and the last", len(got), count)
	}
	s.want(200, "POST", "/v1/streams/s/append", "the last", ada, plain)
	stream := s.open("GET", "/v1/streams/s", "", ada, "Accept: text/event-stream")
	for _, b := range blocks(t, stream.Body, "the last") {
		if !events(&b, "hello", "chunk", "entry") {
			t.Errorf("a block that nobody wrote: %+v", b)
		}
	}
	s.want(400, "POST", "/v1/streams/s/append", `{"event":"a\nb","data":{}}`+"\n", ada, lines)
	if state := s.want(200, "GET", "/v1/streams/s", "", ada); !strings.Contains(state, `"status":"running"`) {
		t.Errorf("the stream was ended by its text: %.300s", state)
	}
}
