package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// pushClient is a client of a socket on any transport, which searches for frames.
type pushClient struct {
	t      testing.TB
	send   func(frame string)
	frames <-chan string
}

// pushes opens a socket.
func (s *testServer) pushes(transport, tok string) *pushClient {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	frames, done := make(chan string, 1000), make(chan struct{})
	c := &pushClient{t: s.t, frames: frames}
	var read func()
	switch transport {
	case "WebSocket":
		read = c.overWebSocket(ctx, s, tok, frames)
	case "long-poll":
		read = c.overLongPoll(ctx, s, tok, frames)
	default:
		read = c.overSSE(ctx, s, tok, frames)
	}
	go func() { defer close(done); defer close(frames); read() }()
	s.t.Cleanup(func() { cancel(); <-done })
	return c
}

// until returns the next frame that contains a text.
func (c *pushClient) until(text string) string {
	c.t.Helper()
	deadline := time.After(hubtest.Hung)
	for {
		select {
		case frame, ok := <-c.frames:
			if !ok {
				c.t.Fatalf("the socket ended before %s", text)
			}
			if strings.Contains(frame, text) {
				return frame
			}
		case <-deadline:
			c.t.Fatalf("it hangs: no %s", text)
		}
	}
}

func (c *pushClient) overWebSocket(ctx context.Context, s *testServer, tok string, frames chan<- string) func() {
	conn, _, err := websocket.Dial(
		ctx, s.URL+"/socket/websocket?vsn=2.0.0&token="+tok, &websocket.DialOptions{HTTPClient: s.plain},
	)
	if err != nil {
		c.t.Fatal(err)
	}
	c.send = func(frame string) {
		if err := conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			c.t.Fatal(err)
		}
	}
	return func() {
		defer conn.CloseNow()
		for {
			_, frame, err := conn.Read(ctx)
			if err != nil {
				return
			}
			frames <- string(frame)
		}
	}
}

func (c *pushClient) overLongPoll(ctx context.Context, s *testServer, tok string, frames chan<- string) func() {
	session := s.poll("GET", "token="+tok, "").Token
	with := func(session string) string { return "token=" + tok + "&token=" + url.QueryEscape(session) }
	c.send = func(frame string) {
		if a := s.poll("POST", with(session), frame); a.Status != 200 {
			c.t.Fatalf("a push was answered %d", a.Status)
		}
	}
	return func() {
		for confirmed := session; ; {
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/socket/longpoll?vsn=2.0.0&"+with(confirmed), nil)
			resp, err := s.Client().Do(r)
			if err != nil {
				return
			}
			var a struct {
				Token    string
				Messages []string
			}
			err = json.NewDecoder(resp.Body).Decode(&a)
			resp.Body.Close()
			if err != nil || a.Token == "" {
				return
			}
			for _, frame := range a.Messages {
				frames <- frame
			}
			confirmed = a.Token
		}
	}
}

func (c *pushClient) overSSE(ctx context.Context, s *testServer, tok string, frames chan<- string) func() {
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/socket/sse?vsn=2.0.0&token="+tok, nil)
	resp, err := s.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	var session string
	for session == "" && lines.Scan() {
		var hello struct{ Session string }
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &hello) == nil {
			session = hello.Session
		}
	}
	c.send = func(frame string) {
		r, _ := http.NewRequestWithContext(
			ctx, "POST", s.URL+"/socket/sse?vsn=2.0.0&token="+tok+"&session="+url.QueryEscape(session),
			strings.NewReader(frame),
		)
		r.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := s.Client().Do(r)
		if err != nil {
			c.t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "200") {
			c.t.Fatalf("a push was answered %s", body)
		}
	}
	return func() {
		defer resp.Body.Close()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				frames <- data
			}
		}
	}
}
