package handlers_test

import (
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
)

// TestOriginsAtEveryDoor: CORS, the cookie and each transport of a socket agree on which origins are allowed.
func TestOriginsAtEveryDoor(t *testing.T) {
	for _, c := range []struct{ entry, yes, no string }{
		{"https://app.example.com", "https://app.example.com https://APP.example.com", "http://app.example.com null"},
		{"https://app.example.com:443", "https://app.example.com", "https://app.example.com:8443"},
		{"HTTPS://App.Example.com/", "https://app.example.com", "https://example.com"},
		{
			"https://*.example.com", "https://app.example.com https://a.b.example.com",
			"https://example.com https://evilexample.com https://app.example.com.evil.example https://app.example.com:81",
		},
		{"http://localhost:*", "http://localhost:5173 http://localhost", "http://localhost.evil.example:5173"},
		{"vscode-webview://*", "vscode-webview://0f3a", "https://0f3a"},
		{"app://obsidian.md", "app://obsidian.md", "app://evil.md"},
	} {
		s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.AllowedOrigins = []string{c.entry} })
		for origin := range strings.FieldsSeq(c.yes) {
			s.checkOrigin(c.entry, origin, true)
		}
		for origin := range strings.FieldsSeq(c.no) {
			s.checkOrigin(c.entry, origin, false)
		}
	}
}

func (s *testServer) checkOrigin(entry, origin string, allowed bool) {
	s.t.Helper()
	from, none := "Origin: "+origin, "Authorization: "
	cookie := "Cookie: duckwire_token=" + token(s.t, "u", "*=*")
	hold := func(door string, may bool) {
		s.t.Helper()
		if may != allowed {
			s.t.Errorf("%s with allowed_origins %s: %s may enter: %t", door, entry, origin, may)
		}
	}
	get := func(path string) (status int, body string) {
		s.t.Helper()
		resp := s.do("GET", path, "", from, none, cookie)
		defer resp.Body.Close()
		if strings.HasPrefix(path, "/socket/sse") {
			return resp.StatusCode, ""
		}
		var b strings.Builder
		_ = resp.Write(&b) // to memory
		return resp.StatusCode, b.String()
	}
	cors := s.expect(200, "GET", "/healthz", "", from).Header
	hold("CORS", cors.Get("Access-Control-Allow-Origin") == origin &&
		cors.Get("Access-Control-Allow-Credentials") == "true")
	status, _ := get("/v1/topics/t/presence")
	hold("the cookie", status == 200)
	status, _ = s.shake("?vsn=2.0.0", from, cookie)
	hold("WebSocket", status == 101)
	_, body := get("/socket/longpoll?vsn=2.0.0")
	hold("long-poll", strings.Contains(body, `"status":410`))
	status, _ = get("/socket/sse?vsn=2.0.0")
	hold("SSE", status == 200)
}
