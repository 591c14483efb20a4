package attacks_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// beginUpload is the beginning of a chunked upload to the stream s, with its first chunk. It needs a credential.
const beginUpload = "POST /v1/streams/s/append HTTP/1.1\r\nHost: x\r\n%s\r\n" +
	"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"

// drip writes one byte every 20 ms, until the connection is closed. To send slowly is the attack.
func drip(t testing.TB, c net.Conn) {
	t.Helper()
	for end := time.Now().Add(hubtest.Hung); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := c.Write([]byte("a")); err != nil {
			return
		}
	}
	t.Error("it hangs: the server reads on and on")
}

// TestSlowHeaders: a connection is closed if its request's header is not complete in time.
func TestSlowHeaders(t *testing.T) {
	s := start(t, "HEADER_TIMEOUT=500ms")
	for name, begin := range map[string]string{
		"nothing": "", "a line": "GET / HTT", "a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
	} {
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

// TestSlowBodies: a request's body must make progress, whoever sends it. A producer's upload may be silent for longer.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	s := start(t, "BODY_TIMEOUT=1s", "UPLOAD_SILENCE=10m")
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	upload := s.dial()
	send(t, upload, beginUpload, ada)
	s.sendSlowBodies(map[string]slowBody{ // takes longer than BODY_TIMEOUT, while the upload above is silent
		"of a known length":   {"POST /v1/topics/t/events HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
		"in chunks":           {"POST /v1/topics/t/events HTTP/1.1\r\nTransfer-Encoding: chunked", ada, "408"},
		"of a completion":     {"POST /v1/completions HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
		"of a small append":   {"POST /v1/streams/s/append HTTP/1.1\r\nContent-Length: 1000", ada, "408"},
		"of a long-poll":      {"POST /socket/longpoll HTTP/1.1\r\nContent-Length: 1000", ada, "200"},
		"of somebody unknown": {"POST /v1/topics/t/events HTTP/1.1\r\nContent-Length: 1000", "X-No: token", "401"},
		"that nobody reads":   {"POST /healthz HTTP/1.1\r\nContent-Length: 1000", ada, "405"},
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

// slowBody is a request whose body makes no progress, and the status that answers it.
type slowBody struct{ request, auth, want string }

// sendSlowBodies sends each request twice, all at the same time: one body is silent, the other one drips.
func (s *server) sendSlowBodies(bodies map[string]slowBody) {
	s.t.Helper()
	var dripping sync.WaitGroup
	silent := map[string]net.Conn{}
	for name, body := range bodies {
		conns := [2]net.Conn{s.dial(), s.dial()}
		for _, conn := range conns {
			send(s.t, conn, "%s\r\nHost: x\r\n%s\r\n\r\n", body.request, body.auth)
			if strings.Contains(body.request, "chunked") {
				send(s.t, conn, "10000\r\n")
			}
		}
		silent[name] = conns[0]
		dripping.Go(func() { drip(s.t, conns[1]) })
	}
	for name, conn := range silent {
		want := bodies[name].want
		answer := answers(s.t, conn)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+want) || want == "408" && !strings.Contains(answer, `too_slow`) {
			s.t.Errorf("a silent body %s: want %s, got %.400q", name, want, answer)
		}
	}
	dripping.Wait()
}

// TestSilentUploads: uploads to streams have a time limit of their own.
func TestSilentUploads(t *testing.T) {
	t.Parallel()
	s := start(t, "UPLOAD_SILENCE=1s")
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	c := s.dial()
	send(t, c, beginUpload, ada)
	if answer := answers(t, c); !strings.HasPrefix(answer, "HTTP/1.1 408") {
		t.Errorf("%.300q", answer)
	}
	if text := s.want(200, "GET", "/v1/streams/s", "", ada); !strings.Contains(text, `"text":"one"`) {
		t.Errorf("what came before the silence: %.300s", text)
	}
}

// TestSlowReads: a connection that reads a long response is closed if it accepts no bytes. Short responses have half a
// minute.
func TestSlowReads(t *testing.T) {
	t.Parallel()
	s := start(t, "WRITE_TIMEOUT=1s", "HISTORY_BYTES=64MiB")
	ada := bearer(t, "ada")
	body := fmt.Sprintf(`{"event":"e","payload":%q}`, strings.Repeat("x", 1<<20-100))
	for range 24 {
		s.want(200, "POST", "/v1/topics/t/events", body, ada)
	}
	send(t, s.dial(), "GET /v1/topics/t/events?after=0 HTTP/1.1\r\nHost: x\r\n%s\r\n"+
		"Accept: text/event-stream\r\nX-Request-Id: slow\r\n\r\n", ada)
	hubtest.Until(t, "the server to give its reader up", func() bool { return s.logged("slow") != nil })
	if taken := s.logged("slow").Bytes; taken >= 24<<20 {
		t.Errorf("%d bytes were taken by who reads none", taken)
	}
}

// entry is the part of a request's line in the log that the tests read.
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
