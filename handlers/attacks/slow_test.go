package attacks_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long these tests wait for what must come much sooner.
const patience = 40 * time.Second

// drip writes a byte every now and then, until the connection is closed.
func drip(t *testing.T, c net.Conn) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := c.Write([]byte("a")); err != nil {
			return
		}
	}
	t.Error("the server reads on and on")
}

// TestSlowHeaders: who does not get on with a request's header is cut off.
func TestSlowHeaders(t *testing.T) {
	s := start(t, "HEADER_TIMEOUT=500ms")
	for name, begin := range map[string]string{"nothing": "", "a line": "GET / HTT", "a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.dial()
			send(t, c, "%s", begin)
			if answer := answers(t, c); strings.Contains(answer, "200 OK") {
				t.Errorf("%.200q", answer)
			}
			if begin != "" {
				c := s.dial()
				send(t, c, "%s", begin)
				drip(t, c)
			}
		})
	}
}

// TestSlowBodies: a body must get on, whoever sends it; what a producer uploads may be silent for longer.
func TestSlowBodies(t *testing.T) {
	s := start(t, "BODY_TIMEOUT=1s", "UPLOAD_SILENCE=20s")
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	upload := s.dial()
	send(t, upload, "POST /v1/streams/s/append HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", ada)
	t.Run("bodies", func(t *testing.T) { // each takes longer than BODY_TIMEOUT, and the upload above waits for all
		for name, c := range map[string]struct{ request, auth, want string }{
			"of a known length":   {"POST /v1/topics/t/events HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
			"in chunks":           {"POST /v1/topics/t/events HTTP/1.1\r\nTransfer-Encoding: chunked", ada, "408"},
			"of a completion":     {"POST /v1/completions HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
			"of a small append":   {"POST /v1/streams/s/append HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
			"of a long-poll":      {"POST /socket/longpoll HTTP/1.1\r\nContent-Length: 1000", ada, "200"},
			"of somebody unknown": {"POST /v1/topics/t/events HTTP/1.1\r\nContent-Length: 1000", "X-No: token", "401"},
			"that nobody reads":   {"POST /healthz HTTP/1.1\r\nContent-Length: 1000", ada, "405"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				silent, dripping := s.dial(), s.dial()
				for _, conn := range []net.Conn{silent, dripping} {
					send(t, conn, "%s\r\nHost: x\r\n%s\r\n\r\n", c.request, c.auth)
				}
				if strings.Contains(c.request, "chunked") {
					send(t, silent, "10000\r\n")
					send(t, dripping, "10000\r\n")
				}
				if answer := answers(t, silent); !strings.HasPrefix(answer, "HTTP/1.1 "+c.want) || c.want == "408" && !strings.Contains(answer, `too_slow`) {
					t.Errorf("a silent body: %.400q", answer)
				}
				drip(t, dripping)
			})
		}
	})
	send(t, upload, "3\r\ntwo\r\n0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(upload), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("an upload that was silent for a while: %s %s", resp.Status, body)
	}
}

// TestSilentUploads: uploads to streams have a limit of their own.
func TestSilentUploads(t *testing.T) {
	s := start(t, "UPLOAD_SILENCE=1s")
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	c := s.dial()
	send(t, c, "POST /v1/streams/s/append HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", ada)
	if answer := answers(t, c); !strings.HasPrefix(answer, "HTTP/1.1 408") {
		t.Errorf("%.300q", answer)
	}
	if text := s.want(200, "GET", "/v1/streams/s", "", ada); !strings.Contains(text, `"text":"one"`) {
		t.Errorf("what came before the silence: %.300s", text)
	}
}

// TestSlowReads: who follows what is much and takes nothing is cut off. Answers that are whole have half a minute.
func TestSlowReads(t *testing.T) {
	s := start(t, "WRITE_TIMEOUT=1s", "HISTORY_BYTES=64MiB")
	ada := bearer(t, "ada")
	body := fmt.Sprintf(`{"event":"e","payload":%q}`, strings.Repeat("x", 1<<20-100))
	for range 24 {
		s.want(200, "POST", "/v1/topics/t/events", body, ada)
	}
	send(t, s.dial(), "GET /v1/topics/t/events?after=0 HTTP/1.1\r\nHost: x\r\n%s\r\nAccept: text/event-stream\r\nX-Request-Id: slow\r\n\r\n", ada)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if entry := s.logged("slow"); entry != nil {
			if entry.Bytes >= 24<<20 {
				t.Errorf("%d bytes were taken by who reads none", entry.Bytes)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the server waits for its reader for ever")
		}
	}
}

// entry is what the tests look at of a request's line in the log.
type entry struct {
	RequestID string `json:"request_id"`
	Bytes     int64
}

// logged returns the line of a request that has ended, or nil.
func (s *server) logged(request string) *entry {
	for line := range strings.Lines(s.log.String()) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.RequestID == request {
			return &e
		}
	}
	return nil
}
