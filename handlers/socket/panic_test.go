package socket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// peer is a client on one of the transports.
type peer interface {
	send(frames ...string)
	next() string
}

// poller is a client on long-poll.
type poller struct {
	s     *testServer
	token string
	got   []string
}

func (p *poller) send(frames ...string) {
	p.s.t.Helper()
	for _, f := range frames {
		if a := p.s.poll("POST", "user=u", p.token, f); a.Status != 200 {
			p.s.t.Fatalf("a POST was answered %+v", a)
		}
	}
}

func (p *poller) next() string {
	p.s.t.Helper()
	for len(p.got) == 0 {
		a := p.s.poll("GET", "user=u", p.token, "")
		if a.Status != 200 && a.Status != 204 {
			p.s.t.Fatalf("a GET was answered %+v", a)
		}
		p.token, p.got = a.Token, a.Messages
	}
	f := p.got[0]
	p.got = p.got[1:]
	return f
}

// sseClient is a client on an SSE socket.
type sseClient struct {
	s    *testServer
	down *socket.SSEConn
	wake *log.Wake
	got  []string
}

func (d *sseClient) send(frames ...string) {
	d.s.t.Helper()
	for _, f := range frames {
		r := httptest.NewRequest("POST", "/sse?user=u&vsn=2.0.0", strings.NewReader(f))
		if err := d.s.Receive(r, d.down.Token()); err != nil {
			d.s.t.Fatal(err)
		}
	}
}

func (d *sseClient) next() string {
	d.s.t.Helper()
	for len(d.got) == 0 {
		if d.down.Next(time.Now(), func(_ uint64, payload []byte) { d.got = append(d.got, string(payload)) }) {
			d.s.t.Fatal("the session has ended")
		}
		if len(d.got) == 0 {
			<-d.wake.C
		}
	}
	f := d.got[0]
	d.got = d.got[1:]
	return f
}

var transports = map[string]func(*testServer) peer{
	"websocket": func(s *testServer) peer { return s.dial("user=u") },
	"longpoll":  func(s *testServer) peer { return &poller{s: s, token: s.poll("GET", "user=u", "", "").Token} },
	"sse": func(s *testServer) peer {
		wake := log.NewWake()
		down, err := s.OpenSSE(httptest.NewRequest("GET", "/sse?user=u&vsn=2.0.0", nil), "", 0, wake)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(down.Close)
		return &sseClient{s: s, down: down, wake: wake}
	},
}

// lockedBuffer is where a logger writes that several goroutines use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type panicsInRewrite struct{ socket.Handler }

func (panicsInRewrite) Rewrite(*log.Event) (socket.Outgoing, bool) { panic("in Rewrite") }

type panicsInLeft struct{ socket.Handler }

func (panicsInLeft) Left() { panic("in Left") }

type panicsInJSON struct{}

func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// TestPanicEndsItsChannelAlone: a panic in the code of a channel's Kind, in whatever goroutine, ends that channel. The
// socket, its other channel, and the process continue.
func TestPanicEndsItsChannelAlone(t *testing.T) {
	const crashed, left = `"phx_error",{"reason":"channel_crash"}]`, `"phx_close",{}]`
	cases := map[string]struct {
		join  func(s *testServer, c *socket.Channel) (socket.Handler, error)
		cause func(s *testServer, p peer) // of the panic; nil: the join is
		want  string                      // the end of the frame that tells the client
	}{
		"Rewrite": {
			func(_ *testServer, c *socket.Channel) (socket.Handler, error) {
				return panicsInRewrite{echo(c)}, c.Subscribe(c.Topic())
			},
			func(s *testServer, _ peer) { s.publish("odd", "e", `{}`) },
			crashed,
		},
		"render": {
			func(s *testServer, c *socket.Channel) (socket.Handler, error) {
				stream, _, err := s.hub.CreateStream(hub.StreamSpec{Kind: "k", Owner: "u", ContentType: "text/plain"})
				if err != nil {
					return nil, err
				}
				render := func([]socket.Outgoing, *log.Item) []socket.Outgoing { panic("in render") }
				_, err = c.Follow(socket.Following{Stream: stream, Render: render}, log.Position{})
				stream.Cancel("")
				return echo(c), err
			},
			nil,
			crashed,
		},
		"Left": {
			func(_ *testServer, c *socket.Channel) (socket.Handler, error) { return panicsInLeft{echo(c)}, nil },
			func(_ *testServer, p peer) { p.send(`["2","4","odd","phx_leave",{}]`) },
			left,
		},
		"MarshalJSON": {
			func(_ *testServer, c *socket.Channel) (socket.Handler, error) {
				c.Set("x", panicsInJSON{})
				return echo(c), nil
			},
			nil,
			`"phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`,
		},
	}
	for name, tc := range cases {
		for transport, open := range transports {
			t.Run(name+"/"+transport, func(t *testing.T) {
				var log lockedBuffer
				var s *testServer
				odd := kind(func(_ context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
					return tc.join(s, c)
				})
				s = start(t, socket.Options{
					Routes: []socket.Route{{Pattern: "odd", Kind: odd}},
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
				}, hub.Limits{})
				p := open(s)
				p.send(`["1","1","room:1","phx_join",{}]`)
				until(t, p, ok(`"1"`, `"1"`, "room:1"))
				p.send(`["2","2","odd","phx_join",{}]`)
				if tc.cause != nil {
					until(t, p, ok(`"2"`, `"2"`, "odd"))
					tc.cause(s, p)
				}
				until(t, p, tc.want)
				p.send(`["1","5","room:1","echo",{}]`)
				until(t, p, ok(`"1"`, `"5"`, "room:1"))
				hubtest.Until(t, "the panic with its stack to be in the log", func() bool { // Left runs after the close
					return strings.Contains(log.String(), "in "+name) && strings.Contains(log.String(), "panic_test.go")
				})
			})
		}
	}
}

// until reads a client's frames up to one that ends with want.
func until(t *testing.T, p peer, want string) {
	t.Helper()
	for !strings.HasSuffix(p.next(), want) {
	}
}
