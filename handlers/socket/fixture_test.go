package socket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kind is a Kind with a function as Join.
type kind func(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error)

func (k kind) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	return k(ctx, c, params)
}

// handler is a Handler with a function as Handle.
type handler func(ctx context.Context, m *socket.Message) error

func (h handler) Handle(ctx context.Context, m *socket.Message) error { return h(ctx, m) }

// echo replies with the payload; "boom" panics, "push" pushes first, "bytes" replies with bytes, and "publish"
// publishes.
func echo(c *socket.Channel) socket.Handler {
	return handler(func(_ context.Context, m *socket.Message) error {
		switch m.Event {
		case "boom":
			panic("boom")
		case "silent":
			return nil
		case "stop":
			c.Stop()
			return nil
		case "push":
			c.Push("pushed", m.Payload)
		case "bytes":
			m.ReplyBytes("ok", []byte{1, 2})
			return nil
		case "publish":
			if _, err := c.Publish(c.Topic(), hub.EventInput{Event: "news", Payload: m.Payload, Bytes: m.Bytes}); err != nil {
				return err
			}
		}
		m.Reply(m.Payload)
		return nil
	})
}

// room is the Kind of most tests: "mode" in the parameters determines the join's result.
func room(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	var p struct{ Mode string }
	_ = json.Unmarshal(params, &p) // params may be anything
	switch p.Mode {
	case "crash":
		panic("crash")
	case "deny":
		return nil, socket.Refuse("denied")
	case "early":
		c.Push("early", map[string]int{"n": 1})
	}
	return echo(c), c.Subscribe(c.Topic())
}

// gate blocks joins of its topics.
type gate struct {
	entered chan string // the topics of joins that wait
	open    chan bool   // releases one join: whether it is accepted
}

func newGate() *gate { return &gate{make(chan string, 1000), make(chan bool, 1000)} }

func (g *gate) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	g.entered <- c.Topic()
	select {
	case ok := <-g.open:
		if !ok {
			return nil, socket.Refuse("denied")
		}
		return echo(c), c.Subscribe(c.Topic())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// testServer is a socket.Server behind a real HTTP server. The parameter "user" is the client's user; "nobody" is
// refused.
type testServer struct {
	*socket.Server
	t      testing.TB
	hub    *hub.Hub
	http   *httptest.Server
	client *http.Client
	mux    *http.ServeMux
}

func start(t testing.TB, o socket.Options, limits hub.Limits) *testServer {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := hub.New(hub.Options{Limits: limits, Logger: log})
	o.Hub = h
	if o.Logger == nil {
		o.Logger = log
	}
	o.Routes = append(o.Routes, socket.Route{Pattern: "room:*", Kind: kind(room)})
	if o.Identify == nil {
		o.Identify = func(r *http.Request, token string) (*rights.Identity, error) {
			user := r.URL.Query().Get("user")
			if user == "nobody" {
				return nil, errs.ErrUnauthenticated
			}
			return &rights.Identity{User: user}, nil
		}
	}
	s := &testServer{Server: socket.NewServer(o), t: t, hub: h, mux: http.NewServeMux()}
	s.mux.HandleFunc("/websocket", func(w http.ResponseWriter, r *http.Request) { s.WebSocket(w, r, refuse) })
	s.mux.HandleFunc("/longpoll", func(w http.ResponseWriter, r *http.Request) {
		plain, err := middleware.DecodeBody(r, 8<<20)
		if err != nil {
			t.Errorf("a body of a test: %v", err)
			return
		}
		s.LongPoll(w, plain)
	})
	s.http = hubtest.Server(s.mux)
	s.http.Start()
	s.client = &http.Client{Transport: hubtest.Transport(s.http)}
	t.Cleanup(func() {
		s.Close()
		h.Close()
		s.client.CloseIdleConnections()
		s.http.Close()
	})
	return s
}

func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	if errors.Is(err, socket.ErrUpgrade) {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	w.WriteHeader(http.StatusForbidden)
}

// client is a WebSocket client that sends and receives whole frames.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
}

func (s *testServer) dial(query string) *client { return s.dialPath("/websocket?vsn=2.0.0&" + query) }

func (s *testServer) dialPath(path string) *client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	s.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, s.http.URL+path, &websocket.DialOptions{HTTPClient: s.client})
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	s.t.Cleanup(func() { conn.CloseNow() })
	return &client{s.t, conn, ctx}
}

func (c *client) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.conn.Write(c.ctx, websocket.MessageText, []byte(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) sendBytes(frame []byte) {
	c.t.Helper()
	if err := c.conn.Write(c.ctx, websocket.MessageBinary, frame); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() string {
	c.t.Helper()
	kind, data, err := c.conn.Read(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if kind == websocket.MessageBinary {
		return fmt.Sprintf("%x", data)
	}
	return string(data)
}

// want expects frames, in order.
func (c *client) want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.next(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// settled expects no frame before the answer to a heartbeat.
func (c *client) settled() {
	c.t.Helper()
	c.send(`[null,"hb","phoenix","heartbeat",{}]`)
	c.want(`[null,"hb","phoenix","phx_reply",{"status":"ok","response":{}}]`)
}

// wantClose expects the connection's end with a code, after any frames.
func (c *client) wantClose(code websocket.StatusCode) {
	c.t.Helper()
	for {
		_, data, err := c.conn.Read(c.ctx)
		if err == nil {
			c.t.Logf("before the close: %.200s", data)
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			c.t.Fatalf("closed with %d (%v), want %d", got, err, code)
		}
		return
	}
}

func ok(joinRef, ref, topic string) string {
	return fmt.Sprintf(`[%s,%s,%q,"phx_reply",{"status":"ok","response":{}}]`, joinRef, ref, topic)
}

func failed(joinRef, ref, topic, reason string) string {
	return fmt.Sprintf(`[%s,%s,%q,"phx_reply",{"status":"error","response":{"reason":%q}}]`, joinRef, ref, topic, reason)
}

func unmatched(ref, topic string) string { return failed("null", ref, topic, "unmatched topic") }

func closed(joinRef, topic string) string {
	return fmt.Sprintf(`[%s,%s,%q,"phx_close",{}]`, joinRef, joinRef, topic)
}

// raw is a WebSocket connection whose bytes the test writes itself.
type raw struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (s *testServer) dialRaw(query string) *raw {
	s.t.Helper()
	conn, err := hubtest.Dial(s.http)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	fmt.Fprintf(conn, "GET /websocket?vsn=2.0.0&%s HTTP/1.1\r\nHost: x\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n", query)
	c := &raw{conn, s.t, bufio.NewReaderSize(conn, 4<<10)}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("handshake: %v, %v", resp, err)
	}
	return c
}

// wsFrame creates a client's frame, masked with zeros. first is FIN and the opcode.
func wsFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

const (
	finText = 0x81
	finPing = 0x89
)

// frame reads one frame of the server.
func (c *raw) frame() (first byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err = io.ReadFull(c.r, head); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		b := make([]byte, 2)
		_, err = io.ReadFull(c.r, b)
		n = uint64(binary.BigEndian.Uint16(b))
	case 127:
		b := make([]byte, 8)
		_, err = io.ReadFull(c.r, b)
		n = binary.BigEndian.Uint64(b)
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return head[0], payload, err
}

// answer is a long-poll's answer.
type answer struct {
	Status   int
	Token    string
	Messages []string
}

// poll is one request of a long-poll: token is the session's, or "".
func (s *testServer) poll(method, query, token, body string) (a answer) {
	s.t.Helper()
	a, raw, err := s.tryPoll(context.Background(), method, query, token, body)
	if err != nil {
		s.t.Fatalf("%v in %q", err, raw)
	}
	return a
}

func (s *testServer) tryPoll(ctx context.Context, method, query, token, body string) (a answer, raw string, err error) {
	r, _ := http.NewRequestWithContext(ctx, method, s.http.URL+"/longpoll?vsn=2.0.0&"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	if token != "" {
		r.Header.Set("X-Phoenix-Longpoll-Token", token)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return a, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	return a, string(b), err
}
