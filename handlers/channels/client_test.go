package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/handlers/channels"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, redistest.Leftovers()...) }

// server is a socket server on a loopback port.
type server struct {
	*httptest.Server
	t       testing.TB
	hub     *hub.Hub
	sockets *socket.Server
}

// start starts a server with these channels ahead of the usual ones. The query of a client's request contains its user
// and capabilities.
func start(t testing.TB, provider hub.Provider, more ...socket.Route) *server {
	t.Helper()
	return serve(t, hub.Options{Provider: provider, Limits: hub.Limits{MessageBytes: 64 << 10}}, nil, more...)
}

// serve starts a server on a hub with these options, whose conversations are stored in the store, or in memory if it is
// nil.
func serve(t testing.TB, o hub.Options, conversations conversation.Store, more ...socket.Route) *server {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	o.Logger = logger
	h := hub.New(o)
	table := channels.NewTable(h, logger, conversations)
	sockets := socket.NewServer(socket.Options{
		Hub: h, Logger: logger, Routes: append(more, table.Routes...), Authorizer: table.Guard(rights.CapsAuthorizer{}),
		Identify: func(r *http.Request, _ string) (*rights.Identity, error) {
			q := r.URL.Query()
			caps := map[string][]string{}
			for _, c := range q["cap"] {
				pattern, actions, _ := strings.Cut(c, "=")
				caps[pattern] = strings.Split(actions, ",")
			}
			parsed, err := rights.ParseCaps(caps, q.Get("user"))
			return &rights.Identity{User: q.Get("user"), Caps: parsed}, err
		},
	})
	s := &server{t: t, hub: h, sockets: sockets}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sockets.WebSocket(w, r, func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusForbidden)
		})
	}))
	t.Cleanup(func() {
		sockets.Close()
		h.Close()
		s.Close()
	})
	return s
}

// client is a plain Phoenix client on a WebSocket.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
	refs int
	held []message // received while waiting for a reply

	presences bool // presence events are not skipped
}

// message is a message that was received.
type message struct {
	Ref, Topic, Event string
	Payload           json.RawMessage
	Binary            []byte
}

// dial opens a socket for a user, who may do everything unless there are caps.
func (s *server) dial(user string, caps ...string) *client {
	s.t.Helper()
	if len(caps) == 0 {
		caps = []string{"*=*"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	s.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, s.URL+"/?vsn=2.0.0&user="+user+"&cap="+strings.Join(caps, "&cap="), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetReadLimit(16 << 20)
	s.t.Cleanup(func() { conn.CloseNow() })
	return &client{t: s.t, conn: conn, ctx: ctx}
}

// send pushes a message and returns its ref.
func (c *client) send(topic, event, payload string) string {
	c.t.Helper()
	c.refs++
	ref := fmt.Sprint(c.refs)
	frame := fmt.Appendf(nil, `["j%s",%q,%q,%q,%s]`, topic, ref, topic, event, payload)
	if err := c.conn.Write(c.ctx, websocket.MessageText, frame); err != nil {
		c.t.Fatal(err)
	}
	return ref
}

// sendBytes pushes bytes.
func (c *client) sendBytes(topic, event string, payload []byte) string {
	c.t.Helper()
	c.refs++
	ref, join := fmt.Sprint(c.refs), "j"+topic
	frame := append(
		[]byte{0, byte(len(join)), byte(len(ref)), byte(len(topic)), byte(len(event))}, join+ref+topic+event...,
	)
	if err := c.conn.Write(c.ctx, websocket.MessageBinary, append(frame, payload...)); err != nil {
		c.t.Fatal(err)
	}
	return ref
}

// read returns the next frame.
func (c *client) read() message {
	c.t.Helper()
	kind, data, err := c.conn.Read(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if kind == websocket.MessageBinary {
		return readBinary(data)
	}
	var fields [5]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		c.t.Fatalf("%v in %s", err, data)
	}
	m := message{Payload: fields[4]}
	for i, field := range []*string{&m.Ref, &m.Topic, &m.Event} {
		_ = json.Unmarshal(fields[i+1], field) // null leaves the field empty
	}
	return m
}

// readBinary reads a binary frame: its kind, the lengths of its strings, the strings, the payload.
func readBinary(data []byte) message {
	lengths := map[byte]int{0: 3, 2: 2, 4: 3}[data[0]] // a push with a join_ref, a broadcast, one of Supabase's
	rest := data[1+lengths:]
	if data[0] == 4 {
		rest = rest[1:] // the encoding
	}
	var fields []string
	for _, n := range data[1 : 1+lengths] {
		fields = append(fields, string(rest[:n]))
		rest = rest[n:]
	}
	if data[0] == 0 {
		fields = fields[1:]
	}
	return message{Topic: fields[0], Event: fields[1], Binary: rest}
}

// next returns the next message that is not a reply for which somebody waits.
func (c *client) next() message {
	c.t.Helper()
	if len(c.held) > 0 {
		m := c.held[0]
		c.held = c.held[1:]
		return m
	}
	for {
		if m := c.read(); c.presences || !strings.HasPrefix(m.Event, "presence_") {
			return m
		}
	}
}

// want returns the payload of the next message, which must be the given event. It skips replies for which nobody waits.
func (c *client) want(event string) map[string]any {
	c.t.Helper()
	for {
		m := c.next()
		if m.Event == "phx_reply" {
			continue
		}
		if m.Event != event {
			c.t.Fatalf("got %s %s, want %s", m.Event, m.Payload, event)
		}
		return object(c.t, m.Payload)
	}
}

// reply waits for the reply to a ref.
func (c *client) reply(ref string) (status string, response map[string]any) {
	c.t.Helper()
	var rest []message
	for {
		m := c.next()
		if m.Event != "phx_reply" || m.Ref != ref {
			rest = append(rest, m)
			continue
		}
		c.held = append(rest, c.held...)
		var p struct {
			Status   string
			Response map[string]any
		}
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			c.t.Fatal(err)
		}
		return p.Status, p.Response
	}
}

// ask pushes a message and returns the reply.
func (c *client) ask(topic, event, payload string) (status string, response map[string]any) {
	c.t.Helper()
	return c.reply(c.send(topic, event, payload))
}

// ok pushes a message, and expects the reply ok.
func (c *client) ok(topic, event, payload string) map[string]any {
	c.t.Helper()
	status, response := c.ask(topic, event, payload)
	if status != "ok" {
		c.t.Fatalf("%s %s %s: %s %v", topic, event, payload, status, response)
	}
	return response
}

func (c *client) join(topic, params string) map[string]any {
	c.t.Helper()
	return c.ok(topic, "phx_join", params)
}

func object(t testing.TB, raw json.RawMessage) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// scripted is a provider that calls a function of the test.
type scripted func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error

func (f scripted) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	return f(ctx, req, w)
}

func (f scripted) Models(context.Context) ([]hub.Model, error) { return nil, nil }
