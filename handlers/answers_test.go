package handlers_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
)

// expect sends a request and expects a status. The transport compares the answer with openapi.yaml.
func (s *testServer) expect(status int, method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	resp := s.do(method, path, body, headers...)
	raw, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != status {
		s.t.Errorf("%s %s: %s, want %d: %.300s", method, path, resp.Status, status, raw)
	}
	return resp
}

// TestAnswersWithoutAToken: every path that needs a token answers 401, in its own format.
func TestAnswersWithoutAToken(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	for _, p := range contract.paths {
		for method, op := range p.item.Operations() {
			if _, needed := op.Responses.Map()["401"]; needed {
				path := strings.NewReplacer(
					"{id}", "x", "{topic}", "t", "{kind}", "analysis", "{job}", "x", "{user}", "u",
				).Replace(p.template)
				s.expect(http.StatusUnauthorized, method, path, "", "Authorization: Bearer none")
			}
		}
	}
}

// TestAnswersOfTheDoors causes every documented answer of each OpenAI-compatible path.
func TestAnswersOfTheDoors(t *testing.T) {
	guest := "Authorization: Bearer " + token(t, "guest", "t=subscribe")
	for path, body := range map[string]func(more string) string{
		chatPath:              chatBody,
		"/v1/completions":     func(more string) string { return `{"prompt":"x"` + more + `}` },
		"/v1/fim/completions": func(more string) string { return `{"prompt":"x","suffix":"y"` + more + `}` },
	} {
		s := startServer(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
			if req.Model == "broken" {
				return errors.New("boom")
			}
			return hello(ctx, req, w)
		}), hub.Limits{}, func(o *handlers.Options) { o.BodyBytes = 1000 })
		s.expect(200, "POST", path, body(""))
		s.expect(202, "POST", path, body(`,"duckwire":{"id":"a"}`), "Prefer: respond-async")
		s.expect(200, "POST", path, body(`,"stream":true,"duckwire":{"id":"a"}`))
		end := call[streamJSON](s, 200, "GET", "/v1/streams/a", "").Position
		s.expect(204, "POST", path, body(`,"stream":true,"duckwire":{"id":"a"}`), "Last-Event-ID: "+end)
		s.expect(400, "POST", path, "{")
		s.expect(403, "POST", path, body(""), guest)
		s.expect(409, "POST", path, body(`,"model":"other","duckwire":{"id":"a"}`))
		s.expect(413, "POST", path, body(`,"x":"`+strings.Repeat("x", 1000)+`"`))
		s.expect(502, "POST", path, body(`,"model":"broken"`))

		full := startServer(t, scripted(endlessly), hub.Limits{StreamsPerUser: 1}, nil)
		full.expect(202, "POST", path, body(""), "Prefer: respond-async")
		full.expect(429, "POST", path, body(""), "Prefer: respond-async")
		startServer(t, nil, hub.Limits{}, nil).expect(503, "POST", path, body("")) // no provider
	}
}

// endlessly accepts a request, and generates nothing until it is stopped.
func endlessly(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	w.Accepted()
	<-ctx.Done()
	return ctx.Err()
}

func TestAnswersOfStreamsAndTopics(t *testing.T) {
	var degraded []string
	s := startServer(t, nil, hub.Limits{StreamsPerUser: 2, Topics: 1}, func(o *handlers.Options) {
		o.BodyBytes = 1000
		o.Degraded = func() []string { return degraded }
	})
	const text = "Content-Type: text/plain"
	s.expect(200, "GET", "/readyz", "")
	degraded = []string{"the disk is full"}
	if h := call[struct {
		Status  string
		Reasons []string
	}](s, 200, "GET", "/readyz", ""); h.Status != "degraded" || !slices.Equal(h.Reasons, degraded) {
		t.Errorf("%+v", h)
	}
	s.expect(404, "GET", "/docs/passwd", "")
	s.expect(406, "GET", "/v1/events?topic=a", "", "Accept: image/png")
	s.expect(200, "GET", "/v1/events?topic=a&format=sse&max=1", "", "Accept: application/json")
	s.expect(400, "GET", "/v1/events?topic=a&format=json", "")
	s.expect(413, "POST", "/v1/streams", `{"kind":"`+strings.Repeat("x", 1000)+`"}`)
	s.expect(413, "POST", "/v1/revocations", `{"user":"`+strings.Repeat("x", 1000)+`"}`)
	s.expect(201, "POST", "/v1/streams", `{"id":"a","topic":"t"}`)
	s.expect(201, "POST", "/v1/streams", `{"id":"b"}`)
	s.expect(429, "POST", "/v1/streams", `{}`)
	s.expect(429, "POST", "/v1/topics/one-too-many/events", `{"event":"e"}`)
	s.expect(429, "GET", "/v1/topics/one-too-many/events", "")
	s.expect(429, "POST", "/api/broadcast", `{"messages":[{"topic":"one-too-many","event":"e","payload":{}}]}`)
	s.expect(429, "POST", "/api/broadcast/one-too-many/events/e", `{}`)

	put := "/v1/streams/b/append"
	producer := []string{text, "Producer-Id: p", "Producer-Epoch: 1", "Producer-Seq: 0"}
	s.expect(200, "PUT", put, "x", producer...)
	s.expect(204, "PUT", put, "x", producer...)
	s.expect(403, "PUT", put, "x", text, "Producer-Id: p", "Producer-Epoch: 0", "Producer-Seq: 0")
	s.expect(400, "PUT", put, "\xff", text, "Producer-Id: p", "Producer-Epoch: 1", "Producer-Seq: 1")
	s.expect(404, "PUT", "/v1/streams/none/append", "x", text)
	s.expect(413, "PUT", put, strings.Repeat("x", 1001), text, "Producer-Id: p", "Producer-Epoch: 1", "Producer-Seq: 1")
	s.expect(409, "PUT", put, "x", text)

	full := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Connections = 1 })
	full.stream("GET", eventsPath, "").want("hello")
	full.expect(
		429, "GET", "/v1/streams/"+strings.TrimPrefix(newTestStream(full, `{}`), "/v1/streams/"), "",
		"Accept: application/x-ndjson",
	)

	s.hub.Drain(t.Context())
	s.expect(503, "POST", "/v1/streams", `{}`)
}
