// Package attacks attacks a real server from outside. It has one file for each class of attack; SECURITY.md describes
// them.
package attacks_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/hubtest"
)

const secret = "a secret of the tests, longer than 32 bytes"

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the server, and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "attacks")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "duckwire")
	build := exec.Command("go", "build", "-o", binary, "github.com/duckwire/duckwire/cmd/duckwire")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is a duckwire process.
type server struct {
	t   testing.TB
	url string
	log *lockedBuffer
}

// start starts a server with settings, such as "BODY_TIMEOUT=1s", and ends it with the test.
func start(t testing.TB, settings ...string) *server {
	t.Helper()
	s := &server{t: t, log: &lockedBuffer{}}
	dir := t.TempDir()
	cmd := exec.Command(binary, "serve", "--addr", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DUCKWIRE_JWT_SECRET="+secret, "DUCKWIRE_DRAIN_TIMEOUT=1s",
		"DUCKWIRE_LOG_LEVEL=debug", "DUCKWIRE_LOCAL_TOKEN_DELAY=0s")
	for _, setting := range settings {
		cmd.Env = append(cmd.Env, "DUCKWIRE_"+setting)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(io.TeeReader(stderr, s.log))
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var entry struct{ Msg, URL string }
			if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
				listening <- entry.URL
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})
	select {
	case s.url = <-listening:
	case <-ended:
		t.Fatalf("the server does not start:\n%s", s.log)
	}
	return s
}

// addr returns the server's host and port.
func (s *server) addr() string { return strings.TrimPrefix(s.url, "http://") }

// lockedBuffer is a buffer that two goroutines can use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// token signs a token for a user with the capabilities "PATTERN=action,action".
func token(t testing.TB, user string, caps ...string) string {
	t.Helper()
	granted := map[string][]string{}
	for _, c := range caps {
		pattern, actions, _ := strings.Cut(c, "=")
		granted[pattern] = strings.Split(actions, ",")
	}
	return signed(t, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "caps": granted})
}

func signed(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bearer returns the Authorization header of a user who may do everything.
func bearer(t testing.TB, user string) string {
	return "Authorization: Bearer " + token(t, user, "*=*")
}

// do sends a request, with headers of the form "Name: value", and reads the whole body.
func (s *server) do(method, path, body string, headers ...string) (status int, answer string, header http.Header) {
	s.t.Helper()
	resp := s.open(method, path, body, headers...)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// open sends a request without reading the body, which is closed at the end of the test.
func (s *server) open(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// want expects a status, and returns the body.
func (s *server) want(status int, method, path, body string, headers ...string) string {
	s.t.Helper()
	got, answer, _ := s.do(method, path, body, headers...)
	if got != status {
		s.t.Errorf("%s %s: %d, want %d: %.300s", method, path, got, status, answer)
	}
	return answer
}

// dial opens a TCP connection, which is closed at the end of the test.
func (s *server) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(hubtest.Hung))
	return c
}

// send writes bytes to a TCP connection.
func send(t testing.TB, c net.Conn, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		t.Fatal(err)
	}
}

// answers reads everything that the server sends on a TCP connection, until the server closes it.
func answers(t testing.TB, c net.Conn) string {
	t.Helper()
	raw, err := io.ReadAll(c)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Fatalf("the server does not close the connection; so far: %.300q", raw)
	}
	return string(raw)
}

// socket opens a WebSocket and joins a topic.
func (s *server) socket(tok, topic string) *websocket.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	s.t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, s.url+"/socket/websocket?vsn=2.0.0&token="+tok, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(16 << 20)
	if reply := push(s.t, c, fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic)); !strings.Contains(reply, `"status":"ok"`) {
		s.t.Fatalf("join of %s: %s", topic, reply)
	}
	return c
}

// push sends a frame and returns the next reply.
func push(t testing.TB, c *websocket.Conn, frame string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		t.Fatal(err)
	}
	for {
		_, reply, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(reply), `"phx_reply"`) {
			return string(reply)
		}
	}
}

// shake makes a WebSocket handshake and returns its status.
func (s *server) shake(query string, headers ...string) int {
	s.t.Helper()
	c := s.dial()
	send(s.t, c, "GET /socket/websocket%s HTTP/1.1\r\nHost: %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n%s\r\n", query, s.addr(), lines(headers))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}
