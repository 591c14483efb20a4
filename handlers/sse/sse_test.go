package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/log"
)

// read returns the events that a standard reader parses from a stream.
func read(t *testing.T, stream []byte) (events []eventstream.Event, r *eventstream.Reader) {
	t.Helper()
	r = eventstream.NewReader(bytes.NewReader(stream), 0)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events, r
		}
		if err != nil {
			t.Fatalf("%v in %q", err, stream)
		}
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
}

// FuzzBlock: a standard reader parses the blocks to what was written, and a publisher's text cannot become a field.
func FuzzBlock(f *testing.F) {
	f.Add("saved", "line one\r\nid: 7\n\revent: evil\n\n", "abc-1.7")
	f.Add("", "", "")
	f.Add("a", "\u2028:\x00data", "0")
	f.Fuzz(func(t *testing.T, event, text, id string) {
		if hub.ValidName("event", event) != nil && event != "" || id != "" && strings.ContainsAny(id, "\r\n\x00") ||
			strings.ContainsRune(event+id, '\x00') {
			t.Skip("refused at the door")
		}
		var b []byte
		if event != "" {
			b = append(b, "event: "+event+"\n"...)
		}
		b = sse.AppendData(b, []byte(text))
		if id != "" {
			b = append(b, "id: "+id+"\n"...)
		}
		b = append(b, '\n')
		events, r := read(t, b)
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
		if len(events) != 1 || events[0].Type != event || string(events[0].Data) != want || r.LastID() != id {
			t.Fatalf("%q came back as %+v, id %q", b, events, r.LastID())
		}
	})
}

func TestBlocks(t *testing.T) {
	at := time.UnixMilli(1700000000123)
	greeting := &sse.Greeting{Position: "e-1.4", Recovered: true, Now: at, Heartbeat: 10 * time.Second, Status: "running"}
	reset := &log.Reset{Reason: log.ResetTrimmed, Requested: `a"b`, From: log.Position{Epoch: "e-1", Offset: 9}}
	for _, c := range []struct{ name, got, want string }{
		{"block", string(sse.AppendBlock(nil, "saved", []byte(`{}`), "e-1.4")), "event: saved\ndata: {}\nid: e-1.4\n\n"},
		{"unnamed, unmoved", string(sse.AppendBlock(nil, "", []byte(`1`), "")), "data: 1\n\n"},
		{
			"hello", string(sse.AppendHello(nil, greeting)),
			`event: hello` + "\n" +
				`data: {"position":"e-1.4","recovered":true,"now":1700000000123,"hb":10,"status":"running"}` + "\n" +
				"retry: 1000\n\n",
		},
		{
			"reset", string(sse.AppendReset(nil, reset, "")),
			"event: reset\ndata: {\"reason\":\"trimmed\",\"requested\":\"a\\\"b\",\"from\":\"e-1.9\"}\n\n",
		},
		{
			"reset of a topic", string(sse.AppendReset(nil, reset, "t")),
			"event: reset\ndata: {\"reason\":\"trimmed\",\"requested\":\"a\\\"b\",\"from\":\"e-1.9\",\"topic\":\"t\"}\n\n",
		},
		{
			"bye", string(sse.AppendBye(nil, "drain", 1500*time.Millisecond)),
			"event: bye\ndata: {\"reason\":\"drain\"}\nretry: 1500\n\n",
		},
		{
			"bye for good", string(sse.AppendBye(nil, "unauthorized", 0)),
			"event: bye\ndata: {\"reason\":\"unauthorized\"}\n\n",
		},
		{"heartbeat", string(sse.AppendHeartbeat(nil, at)), ":1700000000123\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	for _, n := range []int{1, 2, 3, 4096} {
		if pad := sse.AppendPad(nil, n); len(pad) != max(n, 2) || pad[0] != ':' || bytes.IndexByte(pad, '\n') != len(pad)-1 {
			t.Errorf("a pad of %d has %d bytes", n, len(pad))
		}
	}
}

// TestCommentsDispatchNothing: heartbeats and padding between blocks dispatch no events.
func TestCommentsDispatchNothing(t *testing.T) {
	b := sse.AppendPad(nil, 100)
	b = sse.AppendHeartbeat(b, time.Now())
	b = sse.AppendBlock(b, "a", []byte("1"), "x.1")
	b = sse.AppendHeartbeat(b, time.Now())
	b = sse.AppendBlock(b, "b", []byte("2"), "")
	if events, _ := read(t, b); len(events) != 2 || events[0].Type != "a" || events[1].Type != "b" {
		t.Errorf("%+v", events)
	}
}
