package handlers_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// head sends HEAD, and expects a status and no body.
func (s *testServer) head(status int, path string, headers ...string) http.Header {
	s.t.Helper()
	resp := s.do("HEAD", path, "", headers...)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) > 0 || resp.StatusCode != status {
		s.t.Errorf("HEAD %s: %s, want %d; %q, %v", path, resp.Status, status, body, err)
	}
	return resp.Header
}

// finish ends a response. There is one profile at a time, so that of the last request must have ended.
func finish(resp *http.Response) {
	if strings.HasPrefix(resp.Request.URL.Path, "/debug/pprof/") {
		_, _ = io.Copy(io.Discard, resp.Body) // fails only with the test
	}
	resp.Body.Close()
}

// TestHeadAnswersAsGet: every path that answers GET answers HEAD, with the same status and the same headers, also if it
// refuses.
func TestHeadAnswersAsGet(t *testing.T) {
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, nil)
	stream := newTestStream(s, `{"id":"s1"}`)
	s.expect(200, "POST", stream+"/append", "text", "Content-Type: text/plain", "Stream-Closed: true")
	for _, operation := range operations(t) {
		if !strings.HasPrefix(operation, "GET ") {
			continue
		}
		p := probes[operation]
		path := strings.ReplaceAll(p.path, "{stream}", "s1")
		var headers []string
		if p.header != "" {
			headers = append(headers, p.header)
		}
		for _, more := range [][]string{
			nil,
			{"Authorization: Bearer none"},
			{"Accept: text/event-stream"},
			{"Accept: application/x-ndjson"},
			{"Accept: text/plain"},
			{"Accept: image/png"},
		} {
			all := slices.Concat(headers, more)
			got := s.do("GET", path, "", all...)
			finish(got)
			h := s.head(got.StatusCode, path, all...)
			for name := range got.Header {
				if _, ok := h[name]; !ok && name != "Content-Length" && name != "Content-Disposition" {
					t.Errorf("HEAD %s %q lacks %s", path, all, name)
				}
			}
			if a, b := got.Header.Get("Content-Type"), h.Get("Content-Type"); a != b &&
				!strings.HasPrefix(path, "/debug/pprof") {
				t.Errorf("HEAD %s %q: %q, and GET %q", path, all, b, a)
			}
		}
	}
	s.head(404, "/v1/streams/none")
	s.head(404, "/v1/none")
	s.head(405, chatPath)
	s.head(204, stream+"?after="+call[streamJSON](s, 200, "GET", stream, "").Position, "Accept: text/event-stream")
	s.head(400, stream+"?after=x", "Accept: text/event-stream")
	s.head(400, stream+"?wait=x")
	s.head(400, stream+"?format=openai")
	s.head(200, stream+"?format=text", "Range: bytes=99-") // Range is for GET
	if allow := s.expect(405, "PATCH", "/v1/topics/a/b/events", "").Header.Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", allow)
	}
}

// TestHeadStartsNothing: HEAD of what goes on or waits ends at once. It counts as no connection, is not present, takes
// no job, and opens no socket.
func TestHeadStartsNothing(t *testing.T) {
	s := startServer(t, scripted(endlessly), hub.Limits{}, func(o *handlers.Options) {
		o.ConnectionsPerUser = 1
		o.Rates = ratelimit.Limits{JoinsPerMinute: 1}
	})
	s.expect(202, "POST", chatPath, chatBody(`,"stream":true,"duckwire":{"id":"c1"}`), "Prefer: respond-async")
	stream := newTestStream(s, `{"id":"s1"}`)
	s.expect(200, "GET", jobsPath+"?worker=w", "")
	s.expect(202, "POST", "/v1/analyses", analysisJSON(""))

	held := s.stream("GET", "/v1/events?topic=t", "") // the one connection, and the one join
	held.want("hello")
	s.expect(429, "GET", stream+"?wait=60", "")
	sse := "Accept: text/event-stream"
	for range 3 {
		s.head(200, stream, sse)
		s.head(200, stream, "Accept: application/x-ndjson")
		s.head(200, stream, "Accept: text/plain")
		s.head(200, stream+"?wait=60")
		s.head(200, "/v1/streams/c1?format=openai")
		s.head(200, "/v1/events?topic=t&presence=1", sse)
		s.head(200, "/v1/topics/t/events?presence=1&client=c", sse)
		s.head(200, "/v1/topics/t/events?wait=60")
		s.head(200, messagesPath+"?wait=60")
		s.head(200, messagesPath, sse)
		s.head(200, jobsPath+"?worker=w&wait=60")
		s.head(200, "/socket/longpoll?vsn=2.0.0")
		s.head(200, "/socket/sse?vsn=2.0.0", sse)
		s.head(200, "/socket/sse?vsn=2.0.0&session=none", sse)
		s.head(403, "/socket/sse?vsn=2.0.0", sse, "Authorization: Bearer none")
		s.head(426, "/socket/websocket?vsn=2.0.0")
		s.head(426, "/socket/websocket?vsn=2.0.0", "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==")
		s.head(200, "/debug/pprof/profile?seconds=60")
	}
	sessions := func() int { return call[overviewJSON](s, 200, "GET", "/v1/overview", "").Sessions.Total }
	if n := sessions(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if _, users := s.hub.PresenceSnapshot("t"); users != 0 {
		t.Errorf("%d users are present", users)
	}
	held.resp.Body.Close()
	hubtest.Until(t, "no sessions", func() bool { return sessions() == 0 })
	if p := call[jobJSON](s, 200, "GET", jobsPath+"?worker=w", ""); len(p.Jobs) != 1 {
		t.Errorf("the job was taken: %+v", p)
	}
}
