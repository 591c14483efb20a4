package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// gated is a provider that writes hello when the test allows it.
func gated(open <-chan struct{}) scripted {
	return func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		select {
		case <-open:
			return hello(ctx, req, w)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// result is a message of a stream's end.
type result struct {
	ID, Status, Text string
	Topic            *string
}

// results returns what streams have left for ada, once there are n.
func results(t *testing.T, s *testServer, n int) []result {
	t.Helper()
	var page queueJSON
	hubtest.Until(t, fmt.Sprintf("%d results", n), func() bool {
		page = call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "ada"))
		return len(page.Messages) >= n
	})
	out := make([]result, len(page.Messages))
	for i, m := range page.Messages {
		if m.Event != "stream_result" || json.Unmarshal(m.Payload, &out[i]) != nil {
			t.Fatalf("no result: %+v", m)
		}
	}
	return out
}

// startAway starts a completion as ada and disconnects.
func startAway(t *testing.T, s *testServer, id string) {
	t.Helper()
	s.expect(
		202, "POST", chatPath, chatBody(`,"duckwire":{"id":"`+id+`"}`), "Prefer: respond-async", as(t, "ada", "x=complete"),
	)
}

// TestResultsWaitForWhoIsAway goes through who is there at a stream's end, and who is not. The last stream's result
// shows that none before it left one.
func TestResultsWaitForWhoIsAway(t *testing.T) {
	open := make(chan struct{})
	s := startServer(t, gated(open), hub.Limits{}, nil)
	ada := as(t, "ada", "x=complete")

	startAway(t, s, "cancelled")
	call[streamJSON](s, 200, "DELETE", "/v1/streams/cancelled", "", ada)
	startAway(t, s, "away")
	close(open)
	got := results(t, s, 1)
	if got[0].Status != "done" || got[0].Text != "Hello" || len(got) != 1 {
		t.Fatalf("%+v", got)
	}

	sub := s.stream("GET", messagesPath+"?after=now", "", ada)
	sub.want("hello")
	startAway(t, s, "connected")
	call[streamJSON](s, 200, "GET", "/v1/streams/connected?after=now&wait=20", "", ada)
	hubtest.Until(t, "the stream's end", func() bool {
		return call[streamJSON](s, 200, "GET", "/v1/streams/connected", "", ada).Status == "done"
	})
	sub.resp.Body.Close()
	hubtest.Until(t, "ada to be gone", func() bool { return !s.hub.HasSession("ada") })
	startAway(t, s, "last")
	if got = results(t, s, 2); len(got) != 2 || got[0].ID == got[1].ID {
		t.Errorf("%+v", got)
	}
}

// A client that waits for an answer counts as present until it has the answer, however fast that is.
func TestResultsAreNotLeftForWhoGetsThem(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	ada := as(t, "ada", "x=complete")
	for range 49 { // below what a user may start in a minute
		for _, body := range []string{chatBody(""), chatBody(`,"stream":true`)} {
			resp := s.do("POST", chatPath, body, ada)
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Error(err)
			}
			resp.Body.Close()
		}
	}
	hubtest.Until(t, "the last response's end", func() bool { return !s.hub.HasSession("ada") })
	startAway(t, s, "last")
	if got := results(t, s, 1); len(got) != 1 {
		t.Errorf("%d results beside the one that was to be left", len(got)-1)
	}
}

// A session of any transport makes its user present, only as long as it lasts.
func TestWhoIsThere(t *testing.T) {
	s := startServer(t, scripted(endlessly), hub.Limits{}, nil)
	gone := func(what string) {
		t.Helper()
		hubtest.Until(t, what+" to be gone, and ada with it", func() bool { return !s.hub.HasSession("ada") })
	}
	ada := as(t, "ada", "*=*")
	stream := newTestStream(s, `{"id":"s"}`)
	for _, c := range []struct{ path, accept string }{
		{eventsPath, "text/event-stream"},
		{"/v1/events?topic=t", "text/event-stream"},
		{stream, "text/event-stream"},
		{stream, "text/plain"},
		{messagesPath, "text/event-stream"},
	} {
		resp := s.do("GET", c.path, "", ada, "Accept: "+c.accept)
		if !s.hub.HasSession("ada") {
			t.Errorf("%s as %s: she is not there", c.path, c.accept)
		}
		resp.Body.Close()
		gone(c.path)
	}
	c := s.dialSocket(token(t, "ada", "*=*"))
	c.send(`[null,"1","phoenix","heartbeat",{}]`)
	c.next()
	if !s.hub.HasSession("ada") {
		t.Error("WebSocket: she is not there")
	}
	c.conn.CloseNow()
	gone("WebSocket")
	if open := s.poll("GET", "token="+token(t, "ada", "*=*"), ""); open.Status != 410 || !s.hub.HasSession("ada") {
		t.Error("long-poll: she is not there between two polls")
	}
}
