package attacks_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// breaks end a line, a string or a field in some format.
var breaks = []string{"\r\n", "\n", "\r", "\x00", "\u2028", "\u0085", "\x1b[2J"}

// TestLineBreaksInNames: a client cannot break a line of a response, of a log or of an event stream by a name.
func TestLineBreaksInNames(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	for _, br := range breaks {
		name := "a" + br + "X-Forged: yes"
		text, _ := json.Marshal(name)
		quoted := url.PathEscape(name)
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/v1/topics/" + quoted + "/events", ""},
			{"POST", "/v1/topics/" + quoted + "/events", `{"event":"e"}`},
			{"GET", "/v1/topics/" + quoted + "/presence", ""},
			{"GET", "/v1/events?topic=" + url.QueryEscape(name), ""},
			{"POST", "/v1/topics/t/events", fmt.Sprintf(`{"event":%s}`, text)},
			{"POST", "/v1/topics/t/events", fmt.Sprintf(`{"event":"e","id":%s}`, text)},
			{"POST", "/v1/topics/t/events", fmt.Sprintf(`{"event":"e","to":[%s],"durable":true}`, text)},
			{"GET", "/v1/topics/t/events?after=" + url.QueryEscape(name), ""},
			{"POST", "/v1/users/" + quoted + "/messages", `{"event":"e"}`},
			{"POST", "/v1/streams", fmt.Sprintf(`{"id":%s}`, text)},
			{"POST", "/v1/streams", fmt.Sprintf(`{"topic":%s}`, text)},
			{"POST", "/v1/streams", fmt.Sprintf(`{"content_type":%s}`, text)},
			{"GET", "/v1/streams/" + quoted, ""},
			{"POST", "/v1/completions", fmt.Sprintf(`{"prompt":"x","duckwire":{"id":%s}}`, text)},
			{"POST", "/v1/completions", fmt.Sprintf(`{"prompt":"x","duckwire":{"topic":%s}}`, text)},
			{"POST", "/v1/completions", fmt.Sprintf(`{"prompt":"x","duckwire":{"slot":%s}}`, text)},
		} {
			status, answer, header := s.do(c.method, c.path, c.body, ada)
			if status != 400 && status != 404 {
				t.Errorf("%s %s %s: %d, want 400 or 404: %.200s", c.method, c.path, c.body, status, answer)
			}
			if header.Get("X-Forged") != "" || strings.Contains(answer, br+"X-Forged") {
				t.Errorf("%s %s: the name ends a line of the answer: %v %q", c.method, c.path, header, answer)
			}
		}
	}
	for line := range strings.Lines(s.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log that is not the log's: %q", line)
		}
	}
}

// TestLineBreaksInTokens: names in a token come from the issuer, but cannot break a line either.
func TestLineBreaksInTokens(t *testing.T) {
	s := start(t)
	for _, br := range []string{"\r\n", "\n", "\r", "\x00"} {
		eve := bearer(t, "eve"+br+"event: end"+br)
		status, answer, _ := s.do("POST", "/v1/topics/t/events", `{"event":"e"}`, eve)
		if status == 200 {
			answer = s.want(200, "GET", "/v1/topics/t/events", "", eve)
		}
		if strings.Contains(answer, br+"event: end") {
			t.Errorf("%q in a user's name: %d %q", br, status, answer)
		}
	}
	for line := range strings.Lines(s.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log that is not the log's: %q", line)
		}
	}
}

// TestHeadersOfRequests: malformed headers of a request do not appear in the header of a response, and cannot hide
// another request.
func TestHeadersOfRequests(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	publish := "POST /v1/topics/t/events HTTP/1.1\r\nHost: x\r\n" + ada + "\r\n"
	const event = `{"event":"e"}`
	for name, raw := range map[string]string{
		"a bare CR in a value":     "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rSet-Cookie: b\r\n\r\n",
		"a NUL in a value":         "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x00b\r\n\r\n",
		"a space before the colon": publish + "Content-Length : 13\r\n\r\n" + event,
		"two lengths":              publish + "Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + event,
		"a negative length":        publish + "Content-Length: -1\r\n\r\n",
		"an unknown coding":        publish + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two hosts":                "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	} {
		c := s.dial()
		send(t, c, "%s", raw)
		answer := answers(t, c)
		if !strings.HasPrefix(answer, "HTTP/1.1 400 ") && !strings.HasPrefix(answer, "HTTP/1.1 501 ") {
			t.Errorf("%s: %.300q", name, answer)
		}
	}
	c := s.dial() // a length and chunks: the chunks count, and the rest is not taken for a second request
	send(t, c, "%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n%s\r\n0\r\n\r\n", publish, event)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 && resp.StatusCode != 400 {
		t.Errorf("a length beside chunks: %s %s", resp.Status, body)
	}
	_, _, header := s.do("GET", "/healthz", "", "X-Request-Id: "+strings.Repeat("x", 1000))
	if id := header.Get("X-Request-Id"); len(id) > 128 {
		t.Errorf("a request id of %d bytes comes back", len(id))
	}
}
