package attacks_test

import (
	"strings"
	"testing"
)

// evil is the origin of an attacker's page, in the browser of a user who has our cookie.
const evil = "Origin: https://evil.example"

// TestCrossSiteSockets: a page of another origin cannot open a socket, whatever the browser sends with the request
// (cross-site WebSocket hijacking).
func TestCrossSiteSockets(t *testing.T) {
	s := start(t, "ALLOWED_ORIGINS=https://app.example")
	tok := token(t, "ada", "*=*")
	cookie := "Cookie: duckwire_token=" + tok
	own, app := "Origin: http://"+s.addr(), "Origin: https://app.example"
	for _, c := range []struct {
		headers []string
		may     bool
	}{
		{[]string{evil, cookie}, false},
		{[]string{evil, "Authorization: Bearer " + tok}, false},
		{[]string{"Origin: null", cookie}, false},
		{[]string{"Origin: https://app.example.evil.example", cookie}, false},
		{[]string{"Origin: https://evil.example/https://app.example", cookie}, false},
		{[]string{"Origin: http://app.example", cookie}, false}, // another scheme is another origin
		{[]string{own, evil, cookie}, false},
		{[]string{own, cookie}, true},
		{[]string{app, cookie}, true},
	} {
		status := s.shake("?vsn=2.0.0", c.headers...)
		if opened := status == 101; opened != c.may || !c.may && status != 403 {
			t.Errorf("WebSocket with %.60q: %d", c.headers, status)
		}
		_, poll, _ := s.do("GET", "/socket/longpoll?vsn=2.0.0", "", c.headers...)
		if opened := strings.Contains(poll, `"status":410`); opened != c.may {
			t.Errorf("long-poll with %.60q: %s", c.headers, poll)
		}
		resp := s.open("GET", "/socket/sse?vsn=2.0.0", "", c.headers...)
		if opened := resp.StatusCode == 200; opened != c.may {
			t.Errorf("SSE with %.60q: %s", c.headers, resp.Status)
		}
		resp.Body.Close()
	}
}

// TestCrossSiteRequests: a page of another origin cannot change anything with the cookie, and cannot read responses.
func TestCrossSiteRequests(t *testing.T) {
	s := start(t, "ALLOWED_ORIGINS=https://app.example")
	cookie := "Cookie: duckwire_token=" + token(t, "ada", "*=*")
	publish := func(headers ...string) int {
		// a form can send text/plain without a preflight
		headers = append(headers, cookie, "Content-Type: text/plain")
		status, _, _ := s.do("POST", "/v1/topics/t/events", `{"event":"forged"}`, headers...)
		return status
	}
	for _, headers := range [][]string{
		{evil},
		{"Origin: null"},
		{"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site"},
		{evil, "Sec-Fetch-Site: same-origin"},
		nil, // not a browser, or an old one
	} {
		if status := publish(headers...); status != 403 {
			t.Errorf("a publish with the cookie and %q: %d, want 403", headers, status)
		}
	}
	if status := publish("Origin: https://app.example"); status != 200 {
		t.Errorf("a publish by the application's page: %d", status)
	}
	if events := s.want(200, "GET", "/v1/topics/t/events", "", bearer(t, "ada")); strings.Count(events, "forged") != 1 {
		t.Errorf("what was published: %s", events)
	}
	for _, path := range []string{"/v1/streams", "/healthz", "/v1/topics/t/events"} {
		_, _, h := s.do("GET", path, "", evil, cookie)
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s may be read by another origin: %v", path, h)
		}
	}
	_, _, h := s.do("OPTIONS", "/v1/topics/t/events", "", evil,
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
	if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another origin is told that it may ask: %v", h)
	}
}
