package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// pollWindow is how long a long-poll waits. It is short, because client.mjs waits for some of them to time out.
const pollWindow = 1500 * time.Millisecond

// startFixture starts a server with the behaviour of the Phoenix server from which the transcripts were recorded;
// phoenix/testdata/transcripts.json describes that server, and the head of client.mjs what the clients' tests also
// need. It returns the server's address.
func startFixture(t *testing.T) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler) // channels crash here on purpose
	h := hub.New(hub.Options{Logger: quiet})
	opts := socket.Options{
		Hub: h, Logger: quiet, Routes: []socket.Route{{Pattern: "room:*", Kind: room{}}}, Identify: identifyByQuery,
		ChannelsPerSocket: 5, PollWindow: pollWindow,
	}
	main := socket.NewServer(opts)
	opts.IdleTimeout, opts.NoPing = 700*time.Millisecond, true // pings would keep a client alive that sends no heartbeats
	idle := socket.NewServer(opts)

	mux := http.NewServeMux()
	for mount, s := range map[string]*socket.Server{"/socket": main, "/noauth": idle} {
		mux.HandleFunc("GET "+mount+"/websocket", func(w http.ResponseWriter, r *http.Request) { s.WebSocket(w, r, refuse) })
		mux.HandleFunc(mount+"/longpoll", func(w http.ResponseWriter, r *http.Request) { pollFromAnywhere(s, w, r) })
		mux.HandleFunc("GET "+mount+"/sse", func(w http.ResponseWriter, r *http.Request) { serveBlocks(s, w, r) })
		mux.HandleFunc("POST "+mount+"/sse", func(w http.ResponseWriter, r *http.Request) { receiveLines(s, w, r) })
	}
	mux.HandleFunc("GET /disconnect/{user}", func(_ http.ResponseWriter, r *http.Request) {
		main.Disconnect(r.PathValue("user"))
	})
	mux.HandleFunc("GET /bc/{topic}", func(w http.ResponseWriter, r *http.Request) {
		payload, _ := json.Marshal(map[string]string{"q": r.URL.Query().Get("q")})
		event := []hub.EventInput{{Event: "ext", Payload: payload}}
		if _, err := h.Publish(r.PathValue("topic"), "fixture", event); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		main.Close()
		idle.Close()
		server.CloseClientConnections() // some clients are killed without closing their connections
		server.Close()
		h.Close()
	})
	return server.Listener.Addr().String()
}

// identifyByQuery accepts all clients, except those that ask to be refused.
func identifyByQuery(r *http.Request, _ string) (*rights.Identity, error) {
	q := r.URL.Query()
	if q.Get("reject") == "true" {
		return nil, errs.ErrForbidden
	}
	user := q.Get("user")
	if user == "" {
		user = "nobody"
	}
	return &rights.Identity{User: user}, nil
}

func refuse(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusForbidden) }

// pollFromAnywhere adds CORS headers to a long-poll, which package handlers does in its middleware.
func pollFromAnywhere(s *socket.Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		return
	}
	s.LongPoll(w, r)
}

// serveBlocks answers GET /socket/sse as package handlers does, without what a short test does not need.
func serveBlocks(s *socket.Server, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, _ := strconv.ParseUint(q.Get("after"), 10, 64) // absent is 0
	wake := log.NewWake()
	down, err := s.OpenSSE(r, q.Get("session"), after, wake)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer down.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	b := sse.AppendBlock(nil, "hello", fmt.Appendf(nil, `{"session":%q,"recovered":true,"hb":10}`, down.Token()), "")
	for {
		end := down.Next(time.Now(), func(number uint64, payload []byte) {
			b = fmt.Appendf(b, "id: %d\ndata: %s\n\n", number, payload)
		})
		if end {
			b = sse.AppendBye(b, "session", 0)
		}
		if _, err := w.Write(b); err != nil || end {
			return
		}
		_ = http.NewResponseController(w).Flush() // fails with the connection, as the next write does
		b = b[:0]
		select {
		case <-wake.C:
		case <-r.Context().Done():
			return
		}
	}
}

func receiveLines(s *socket.Server, w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	if err := s.Receive(r, r.URL.Query().Get("session")); err != nil {
		status = http.StatusGone
	}
	fmt.Fprintf(w, `{"status":%d}`, status)
}

// room is the channel room:* of the transcripts.
type room struct{}

func (room) Join(_ context.Context, c *socket.Channel, raw json.RawMessage) (socket.Handler, error) {
	var params struct {
		Mode, Name, Key string
		Meta            json.RawMessage
	}
	_ = json.Unmarshal(raw, &params) // a value that is not an object has no mode
	switch params.Mode {
	case "deny":
		return nil, &socket.Refusal{Response: map[string]any{"reason": "denied", "topic": c.Topic(), "p": raw}}
	case "crash":
		panic("the join callback raises")
	}
	if err := c.Subscribe(c.Topic()); err != nil {
		return nil, err
	}
	switch params.Mode {
	case "reply":
		c.Set("hello", params.Name)
	case "after":
		c.Push("joined", map[string]bool{"ok": true})
		if _, err := c.Publish(c.Topic(), hub.EventInput{Event: "entered", Payload: json.RawMessage(`{"x":1}`)}); err != nil {
			return nil, err
		}
	case "presence":
		if err := c.WatchPresence(); err != nil {
			return nil, err
		}
		if err := c.TrackAs(params.Key, params.Meta); err != nil {
			return nil, err
		}
	}
	return member{c}, nil
}

type member struct{ c *socket.Channel }

func (h member) Handle(_ context.Context, m *socket.Message) error {
	broadcast := func(in hub.EventInput) error {
		_, err := h.c.Publish(h.c.Topic(), in)
		return err
	}
	switch m.Event {
	case "echo":
		m.Reply(m.Payload)
	case "empty_ok":
		m.Reply(nil)
	case "err":
		m.ReplyStatus("error", m.Payload)
	case "custom_status":
		m.ReplyStatus("maybe", m.Payload)
	case "noreply":
	case "push":
		h.c.Push("pushed", m.Payload)
	case "push_reply":
		h.c.Push("pushed", m.Payload)
		m.Reply(nil)
	case "late":
		var payload struct{ Ms int }
		if err := m.Decode(&payload); err != nil {
			return err
		}
		time.AfterFunc(time.Duration(payload.Ms)*time.Millisecond, func() { m.Reply(m.Payload) })
	case "bc", "icpt":
		return broadcast(hub.EventInput{Event: m.Event, Payload: m.Payload})
	case "bc_from":
		return broadcast(hub.EventInput{Event: "bc", Payload: m.Payload, Except: h.c.Client()})
	case "bin_reply":
		m.ReplyBytes("ok", append(m.Bytes, 3, 4))
	case "bin_push":
		h.c.PushBytes("bin_pushed", m.Bytes)
	case "bin_bc":
		return broadcast(hub.EventInput{Event: "bin_bc", Bytes: m.Bytes})
	case "stop_normal":
		h.c.Stop()
	case "stop_shutdown":
		m.Reply(map[string]bool{"bye": true})
		h.c.Stop()
	case "stop_weird":
		m.ReplyStatus("error", map[string]bool{"bad": true})
		h.c.Crash()
	case "pupdate":
		if err := h.c.UpdatePresence(m.Payload); err != nil {
			return err
		}
		m.Reply(nil)
	case "puntrack":
		h.c.Untrack()
		m.Reply(nil)
	default: // boom, and unknown events
		panic("no handler knows " + m.Event)
	}
	return nil
}

// Rewrite stands for Phoenix's intercept of the event icpt.
func (h member) Rewrite(ev *log.Event) (out socket.Outgoing, keep bool) {
	if ev.Name != "icpt" {
		return socket.Outgoing{}, true
	}
	payload := map[string]any{}
	_ = json.Unmarshal(ev.Payload(), &payload) // the transcripts send objects
	payload["seen"] = true
	rewritten, _ := json.Marshal(payload) // cannot fail: the payload was decoded from JSON
	return socket.Outgoing{Event: ev.Name, Payload: rewritten}, false
}
