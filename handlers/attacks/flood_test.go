package attacks_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestConnectionFlood: connections without a credential are limited to their share, and displace no others.
func TestConnectionFlood(t *testing.T) {
	s := start(t, "GUESTS=8", "HEADER_TIMEOUT=1m")
	ada := bearer(t, "ada")
	inside := s.dial()
	ask := func() string {
		send(t, inside, "GET /v1/streams HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", ada)
		resp, err := http.ReadResponse(bufio.NewReader(inside), nil)
		if err != nil {
			t.Fatalf("a client that was let in before the flood: %v", err)
		}
		resp.Body.Close()
		return resp.Status
	}
	if status := ask(); status != "200 OK" {
		t.Fatal(status)
	}
	for n := range 12 { // they have a credential
		s.socket(token(t, "ada", "*=*"), "t"+strconv.Itoa(n))
	}
	var idle []net.Conn
	for range 8 {
		c := s.dial()
		send(t, c, "GET /v1/streams HTTP/1.1\r\n")
		idle = append(idle, c)
	}
	refused := s.dial()
	if answer := answers(t, refused); answer != "" {
		t.Errorf("the ninth guest: %q", answer)
	}
	if status := ask(); status != "200 OK" {
		t.Errorf("a client that was let in before the flood: %s", status)
	}
	for _, c := range idle {
		c.Close()
	}
	hubtest.Until(t, "the flood to be over", func() bool {
		resp, err := http.Get(s.url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// TestFailedAttempts: an address that fails repeatedly is told to wait, on every transport. Valid credentials from that
// address are still accepted.
func TestFailedAttempts(t *testing.T) {
	s := start(t, "TRUSTED_PROXIES=127.0.0.1")
	from := func(addr string) string { return "X-Forwarded-For: " + addr }
	bad := func(addr string) (int, string, http.Header) {
		return s.do("GET", "/v1/streams", "", from(addr), "Authorization: Bearer bad")
	}
	for n := range 10 {
		if status, answer, _ := bad("198.51.100.7"); status != 401 {
			t.Fatalf("failure %d: %d %s", n+1, status, answer)
		}
	}
	status, answer, header := bad("198.51.100.7")
	wait, _ := strconv.Atoi(header.Get("Retry-After"))
	if status != 429 || wait < 1 || wait > 13 || !strings.Contains(answer, "failures_per_minute") ||
		!strings.Contains(answer, `"limit":10`) {
		t.Errorf("failure 11: %d, Retry-After %q, %s", status, header.Get("Retry-After"), answer)
	}
	if status := s.shake("?vsn=2.0.0&token=bad", from("198.51.100.7")); status != 429 {
		t.Errorf("WebSocket: %d", status)
	}
	_, poll, _ := s.do("GET", "/socket/longpoll?vsn=2.0.0&token=bad", "", from("198.51.100.7"))
	if !strings.Contains(poll, "500") { // a client tries again after 500, and gives up after 403
		t.Errorf("long-poll: %s", poll)
	}
	status, body, _ := s.do("GET", "/v1/events?topic=t&token=bad", "", from("198.51.100.7"), "Accept: text/event-stream")
	if status != 200 || !strings.Contains(body, "event: bye") || !strings.Contains(body, "retry: ") {
		t.Errorf("an EventSource: %d %s", status, body)
	}
	s.want(200, "GET", "/v1/streams", "", from("198.51.100.7"), bearer(t, "ada"))
	s.want(401, "GET", "/v1/streams", "", from("198.51.100.8"), "Authorization: Bearer bad")
	s.want(401, "GET", "/v1/streams", "", from("2001:db8:0:1::1"), "Authorization: Bearer bad")
	for n := range 9 {
		s.want(401, "GET", "/v1/streams", "", from(fmt.Sprintf("2001:db8:0:1::%x", n+2)), "Authorization: Bearer bad")
	}
	s.want(429, "GET", "/v1/streams", "", from("2001:db8:0:1:ffff::1"), "Authorization: Bearer bad") // the same network
	s.want(401, "GET", "/v1/streams", "", from("2001:db8:0:2::1"), "Authorization: Bearer bad")
}

// TestForwardedForSpoofing: a client cannot change its address by what it writes into X-Forwarded-For.
func TestForwardedForSpoofing(t *testing.T) {
	s := start(t, "TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8", "FAILURES_PER_MINUTE=3")
	bad := func(headers ...string) int {
		status, _, _ := s.do("GET", "/v1/streams", "", append(headers, "Authorization: Bearer bad")...)
		return status
	}
	for n := range 3 {
		if status := bad(fmt.Sprintf("X-Forwarded-For: 203.0.113.%d, 198.51.100.7, 10.0.0.3", n)); status != 401 {
			t.Fatalf("failure %d: %d", n+1, status)
		}
	}
	for _, spoofed := range [][]string{
		{"X-Forwarded-For: 203.0.113.99, 198.51.100.7, 10.0.0.3"},
		{"X-Forwarded-For: 198.51.100.7"},
		{"X-Forwarded-For: 127.0.0.1, 198.51.100.7"},
		{"X-Forwarded-For: 10.1.2.3, 198.51.100.7"},
		{"X-Forwarded-For: 203.0.113.99", "X-Forwarded-For: 198.51.100.7, 10.0.0.3"},
		{"X-Forwarded-For: ,,, 198.51.100.7:443"},
		{"X-Forwarded-For: 203.0.113.99, ::ffff:198.51.100.7"},
		{
			"X-Forwarded-For: 198.51.100.7", "X-Real-Ip: 203.0.113.99", "Forwarded: for=203.0.113.99",
			"Client-Ip: 203.0.113.99", "True-Client-Ip: 203.0.113.99",
		},
	} {
		if status := bad(spoofed...); status != 429 {
			t.Errorf("%q is taken for somebody else: %d", spoofed, status)
		}
	}
}

// TestForwardedForOfNobody: without a trusted proxy X-Forwarded-For is not read, so that a client cannot use up another
// address's attempts.
func TestForwardedForOfNobody(t *testing.T) {
	s := start(t, "FAILURES_PER_MINUTE=1")
	for range 5 {
		s.want(401, "GET", "/v1/streams", "", "X-Forwarded-For: 198.51.100.7", "Authorization: Bearer bad")
	}
}
