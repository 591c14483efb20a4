package handlers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
)

// TestOwnPaths: all paths below /v1 are the server's own, but for those that go to the upstream.
func TestOwnPaths(t *testing.T) {
	o := handlers.Options{UpstreamPaths: []string{"embeddings", "images/generations"}}
	own := 0
	walk := func(_, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path, ok := strings.CutPrefix(route, "/v1/")
		if got := handlers.IsOwnPath(path); ok && got == slices.Contains(o.UpstreamPaths, path) {
			t.Errorf("%s: own is %v", route, got)
		} else if got {
			own++
		}
		return nil
	}
	if err := chi.Walk(handlers.Routes(o), walk); err != nil || own < 20 {
		t.Errorf("%d paths, %v", own, err)
	}
}

// TestUnknownPaths: an unknown path is a 404 without a token. A client of OpenAI's API gets it in OpenAI's format, with
// a message that names what is there.
func TestUnknownPaths(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	base := "the API is under /v1: set the base URL to " + s.URL + "/v1"
	const list = "/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/fim/completions, "
	for _, c := range []struct {
		path, want string
		openAI     bool
	}{
		{"/v1", list, true},
		{"/v1/", list, true},
		{"/v1/foo", list, true},
		{"/v1/threads/t/runs", list, true},
		{"/v1/" + strings.Repeat("x", 5000), list, true},
		{"/v1/%00%22%ff", list, true},
		{"/v1/model", "did you mean /v1/models?", true},
		{"/v1/MODELS", "did you mean /v1/models?", true},
		{"/v1/chat/completion", "did you mean /v1/chat/completions?", true},
		{"/v1/chatcompletions", "did you mean /v1/chat/completions?", true},
		{"/v1/chat", "did you mean /v1/chat/completions?", true},
		{"/v1//chat/completions", "did you mean /v1/chat/completions?", true},
		{"/v1/v1/chat/completions", "did you mean /v1/chat/completions?", true},
		{"/v1/engines/gpt/completions", "did you mean /v1/completions?", true},
		{"/v1/stream", "did you mean /v1/streams?", true},
		{"/v1/streams/Ab1/appendd", "did you mean /v1/streams/Ab1/append?", true},
		{"/v1/topics/a/b/event", "did you mean /v1/topics/a%2Fb/events?", true},
		{"/chat/completions", base, true},
		{"/chat/completions/", base, true},
		{"/completions", base, true},
		{"/models", base, true},
		{"/embeddings", base, true},
		{"/responses", base, true},
		{"/messages", base, true},
		{"/openai/v1/chat/completions", base, true},
		{"/openai/deployments/m/chat/completions", base, true},
		{"/openai/v1/other", base, true},
		{"/api/chat", base, true},
		{"//v1/models", base, true},
		{"/V1/models", base, true},
		{"/x/fim/completions", base, true},
		{"/topics/t/events", base, false},
		{"/streams", base, false},
		{"/", "", false}, // POST; there is a page at GET
		{"/v2/else", "no such path", false},
		{"/favicon.ico", "no such path", false},
		{"/socket", "no such path", false},
		{"/console/none.js", "no such path", false},
		{"/docs/none", "no such path", false},
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"} {
			status := 404
			if served := strings.HasPrefix(c.path, "/console/") || strings.HasPrefix(c.path, "/docs/"); served &&
				method != "GET" || c.path == "/" {
				continue
			}
			resp, err := s.plain.Do(s.request(method, c.path, "", "Authorization: Bearer none"))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			var body struct {
				problem
				Error *struct {
					Message, Type, Code string
					Param               *string
				}
			}
			if err := json.Unmarshal(raw, &body); err != nil || resp.StatusCode != status {
				t.Errorf("%s %.100s: %s %.300s", method, c.path, resp.Status, raw)
				continue
			}
			message, code := body.Detail, body.Code
			if e := body.Error; e != nil {
				message, code = e.Message, e.Code
				if e.Type != "invalid_request_error" || e.Param != nil {
					t.Errorf("%s %.100s: %s", method, c.path, raw)
				}
			}
			if (body.Error != nil) != c.openAI || code != "no_such_path" || !strings.Contains(message, c.want) ||
				len(message) > 2000 {
				t.Errorf("%s %.100s: %.500s\nwant %s", method, c.path, raw, c.want)
			}
		}
	}
}

// TestMethodsOfKnownPaths: a method that a path does not answer is a 405, in the path's own format, without a token.
func TestMethodsOfKnownPaths(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	for path, c := range map[string]struct{ allow, media string }{
		chatPath:              {"POST", "application/json"},
		"/v1/completions":     {"POST", "application/json"},
		"/v1/models":          {"GET, HEAD", "application/json"},
		"/v1/models/":         {"GET, HEAD", "application/json"},
		"/v1/streams":         {"GET, HEAD, POST", "application/problem+json"},
		"/v1/topics/a/events": {"GET, HEAD, POST", "application/problem+json"},
		"/v1/streams/x":       {"GET, HEAD, DELETE", "application/problem+json"},
		"/healthz":            {"GET, HEAD", "application/problem+json"},
	} {
		for _, method := range []string{"PATCH", "PURGE", "OPTIONS"} {
			resp, err := s.plain.Do(s.request(method, path, "", "Authorization: none"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 405 || resp.Header.Get("Allow") != c.allow || resp.Header.Get("Content-Type") != c.media {
				t.Errorf("%s %s: %s %v", method, path, resp.Status, resp.Header)
			}
		}
	}
}

// TestTrailingSlash: every path is served with a trailing slash as without it, and not redirected.
func TestTrailingSlash(t *testing.T) {
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, nil)
	newTestStream(s, `{"id":"s1"}`)
	ask := func(method, path, body, header string) (int, string) {
		r := s.request(method, path, body)
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		resp, err := s.plain.Transport.RoundTrip(r) // which follows no redirect
		if err != nil {
			t.Fatal(err)
		}
		finish(resp)
		return resp.StatusCode, resp.Header.Get("Content-Type")
	}
	for _, operation := range operations(t) {
		p := probes[operation]
		method, _, _ := strings.Cut(operation, " ")
		path, query, _ := strings.Cut(strings.ReplaceAll(p.path, "{stream}", "s1"), "?")
		status, media := ask(method, path+"?"+query, p.body, p.header)
		again, mediaAgain := ask(method, path+"/?"+query, p.body, p.header)
		same := status == again || status == 201 && again == 200 // made before
		if path == "/" || path == "/docs" {                      // a page with relative URLs has one address (TestBasePath)
			continue
		}
		if !same || media != mediaAgain {
			t.Errorf("%s: %d %s, and with a slash %d %s", operation, status, media, again, mediaAgain)
		}
	}
	for _, path := range []string{chatPath + "/", "/v1/models/"} { // their errors, too
		resp, err := s.plain.Do(s.request("GET", path, "", "Authorization: Bearer none"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if media := resp.Header.Get("Content-Type"); media != "application/json" {
			t.Errorf("GET %s: %s, %s", path, resp.Status, media)
		}
	}
	// Slashes that belong to a name are not the path's.
	s.expect(200, "POST", "/v1/topics/a//events", `{"event":"e"}`)
	if n := len(call[historyJSON](s, 200, "GET", "/v1/topics/a%2F/events", "").Events); n != 1 {
		t.Errorf("%d events on the topic a/", n)
	}
	if n := len(call[historyJSON](s, 200, "GET", "/v1/topics/a/events", "").Events); n != 0 {
		t.Errorf("%d events on the topic a", n)
	}
	if code, _ := ask(http.MethodGet, "/v1/streams/s1%2F", "", ""); code != 404 {
		t.Errorf("the stream s1/: %d", code)
	}
}

// TestExposedHeaders: pages of allowed origins may read every header that openapi.yaml describes.
func TestExposedHeaders(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.AllowedOrigins = []string{"https://app.example"} })
	h := s.expect(200, "GET", "/healthz", "", "Origin: https://app.example").Header
	exposed := ", " + strings.ToLower(h.Get("Access-Control-Expose-Headers")) + ","
	safe := map[string]bool{ // pages may read these without permission (WHATWG Fetch §2.2.2), or have no use for them
		"cache-control": true, "content-type": true, "content-length": true, "content-encoding": true, "upgrade": true,
		"content-security-policy": true, "referrer-policy": true, "connection": true, "vary": true,
		"access-control-allow-origin": true, "sec-websocket-protocol": true, "content-disposition": true,
		"x-go-pprof": true, "sec-websocket-accept": true,
	}
	for _, p := range contract.paths {
		for method, op := range p.item.Operations() {
			for status, response := range op.Responses.Map() {
				for name := range response.Value.Headers {
					if name = strings.ToLower(name); !safe[name] && !strings.Contains(exposed, " "+name+",") {
						t.Errorf("%s %s %s: pages may not read %s", method, p.template, status, name)
					}
				}
			}
		}
	}
}
