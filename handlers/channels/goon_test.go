package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/duckwire/duckwire/hub"
)

// told is what a client was told of an answer: the text of all chunks, and the other events in order.
type told struct {
	text   string
	events []string
}

// add adds an event, without the members that differ each time.
func (a *told) add(t testing.TB, m message) {
	t.Helper()
	p := object(t, m.Payload)
	if chunk, ok := p["chunk"].(string); ok {
		a.text += chunk
		return
	}
	maps.DeleteFunc(p, func(name string, _ any) bool { return name == "timestamp" })
	raw, _ := json.Marshal(p)
	a.events = append(a.events, m.Event+" "+string(raw))
}

// requests are the commands that are answered with events, and the last of them.
var requests = map[string]struct{ topic, event, payload, end string }{
	"request_completion": {
		project, "request_completion", `{"id":"mine","code":"x","cursor_position":{"line":1,"column":1}}`, "completion_done",
	},
	"generate":         {project, "generate", `{"id":"mine","prompt":"x","language":"go"}`, "generation_complete"},
	"refactor":         {project, "refactor", `{"id":"mine","code":"a := 1\nb := 2"}`, "refactor_complete"},
	"request_analysis": {project, "request_analysis", `{"id":"mine","code":"x"}`, "analysis_result"},
	"analyze on code":  {project, "analyze", `{"id":"mine","code":"x","file_path":"a.go"}`, "analysis_complete"},
	"start_analysis": {
		"analysis:file:a", "start_analysis", `{"id":"mine","files":[{"path":"a","code":"b"}]}`, "analysis_complete",
	},
	"analyze on analysis": {
		"analysis:project:1", "analyze", `{"id":"mine","code":"x","type":"style"}`, "analysis_complete",
	},
	"message": {"conversation:c-1", "message", `{"id":"mine","content":"x"}`, "response"},
}

// TestRequestsGoOnFromEveryPosition: a client whose connection was cut behind any event of an answer gets what followed
// it, and nothing else.
func TestRequestsGoOnFromEveryPosition(t *testing.T) {
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			s := start(t, finder{says("Here:\n```go\na := 1\n", "b := 3\n", "```\nIt is short.\n")})
			c := s.dial("u")
			c.join(r.topic, `{"client_id":"tab","after":"0"}`)
			ref := c.send(r.topic, r.event, r.payload)
			var heard []message
			replied := -1 // the number of events before the reply
			for len(heard) == 0 || heard[len(heard)-1].Event != r.end {
				switch m := c.next(); {
				case m.Event == "phx_reply":
					if replied = len(heard); m.Ref != ref || !strings.Contains(string(m.Payload), `"id":"mine"`) {
						t.Errorf("the reply is %s", m.Payload)
					}
				case m.Ref != "":
					heard = append(heard, m)
				case m.Event != "status_update":
					t.Errorf("%s has no position", m.Event)
				}
			}
			if replied != 1 {
				t.Errorf("replied after %d events, want the first event, which has a position, then the reply", replied)
			}
			for i, m := range heard {
				if id := object(t, m.Payload)["id"]; id != "mine" && m.Event != "response" {
					t.Errorf("%s %s is of the request %v", m.Event, m.Payload, id)
				}
				var want, got told
				for _, m := range heard[i+1:] {
					want.add(t, m)
				}
				again := s.dial("u")
				joined := again.join(r.topic, fmt.Sprintf(`{"client_id":"tab","after":%q}`, m.Ref))
				if joined["recovered"] != true || joined["position"] != m.Ref {
					t.Errorf("joined behind %s at %s: %v", m.Event, m.Ref, joined)
				}
				again.ok(r.topic, r.event, r.payload) // a client that is not sure pushes it again
				for len(got.events) < len(want.events) {
					if m := again.next(); m.Event != "phx_reply" && m.Event != "status_update" {
						got.add(t, m)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("behind event %d, %s:\ngot  %v\nwant %v", i, m.Event, got, want)
				}
				if m.Event != r.end && r.event != "message" {
					again.ok(r.topic, "get_status", `{"id":"mine"}`)
					for _, m := range again.held {
						t.Errorf("after the end came %s %s", m.Event, m.Payload)
					}
				}
				again.conn.CloseNow()
			}
		})
	}
}

// TestForeignAndLostRequests: a position is no credential, and of what is gone the client is told.
func TestForeignAndLostRequests(t *testing.T) {
	s := start(t, says("secret"))
	c := s.dial("u")
	c.join(project, `{"after":"now"}`)
	c.send(project, "request_completion", `{"code":"x","cursor_position":{"line":1,"column":1}}`)
	c.want("completion_started")
	c.want("completion_chunk")
	var m message
	for m.Event != "completion_done" {
		m = c.next()
	}
	c.send(project, "request_completion", `{"id":"2","code":"x","cursor_position":{"line":1,"column":1}}`)
	for m.Event != "completion_started" {
		m = c.next()
	}
	other := s.dial("other", "code:*=subscribe,complete,publish")
	if joined := other.join(project, fmt.Sprintf(`{"after":%q}`, m.Ref)); joined["recovered"] != false {
		t.Errorf("another user joined %v", joined)
	}
	if end := other.want("completion_error"); end["code"] != "not_found" || end["chunk"] != nil {
		t.Errorf("another user got %v", end)
	}
	other.ok(project, "mark", `{}`)
	other.want("mark")
	for _, bad := range []string{m.Ref + "~", m.Ref[:len(m.Ref)-3], "now~" + m.Ref, strings.Repeat(m.Ref, 2)} {
		if status, r := other.ask(project, "phx_join", fmt.Sprintf(`{"after":%q}`, bad)); status != "error" ||
			r["field"] != "after" {
			t.Errorf("after %s: %s %v", bad, status, r)
		}
	}
}

// TestRequestGoesOnOnAnotherNode: the node that a client comes back to tells the rest of an answer that another node's
// provider makes.
func TestRequestGoesOnOnAnotherNode(t *testing.T) {
	more := make(chan string)
	provider := scripted(func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		for text := range more {
			if err := w.Text(text); err != nil {
				return err
			}
		}
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	})
	url := "redis://" + miniredis.RunT(t).Addr()
	a, b := startNode(t, url, provider), startNode(t, url, nil)
	c := a.dial("u")
	c.join(project, `{"after":"now"}`)
	c.ok(project, "refactor", `{"id":"mine","code":"a\nb"}`)
	c.want("completion_started")
	more <- "```\na\n"
	m := c.next()
	c.conn.CloseNow()
	again := b.dial("u")
	if joined := again.join(project, fmt.Sprintf(`{"after":%q}`, m.Ref)); joined["recovered"] != true {
		t.Errorf("joined %v", joined)
	}
	more <- "c\n```\n"
	close(more)
	text, end := readCompletion(again, object(t, m.Payload)["chunk"].(string), "refactor_complete")
	want := `[{"from":{"column":0,"line":2},"text":"c","to":{"column":0,"line":3}}]`
	if got, _ := json.Marshal(end["changes"]); text != "```\na\nc\n```\n" || end["id"] != "mine" || string(got) != want {
		t.Errorf("%q, %v, %s", text, end, got)
	}
}
