package hubtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// OwnClock runs a test in a synctest bubble: time advances only when all goroutines wait, so an hour takes no time and
// the speed of the machine does not matter. Servers of Server then use pipes instead of ports. Time does not advance,
// and the test hangs, if a goroutine waits for a mutex whose owner waits for time to pass.
func OwnClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// HasOwnClock reports whether the caller runs within OwnClock. There the clock begins in the year 2000.
func HasOwnClock() bool { return time.Now().Year() < 2020 }

// Server returns an unstarted HTTP server on a loopback port, or on pipes within OwnClock. Use Dial or Transport to
// connect to it.
func Server(h http.Handler) *httptest.Server {
	if !HasOwnClock() {
		return httptest.NewUnstartedServer(h)
	}
	return &httptest.Server{
		Listener: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})},
		Config:   &http.Server{Handler: h},
	}
}

// Dial opens a connection to a Server.
func Dial(s *httptest.Server) (net.Conn, error) { return dial(s.Listener) }

func dial(l net.Listener) (net.Conn, error) {
	if p, ok := l.(*pipes); ok {
		return p.dial()
	}
	return net.Dial("tcp", l.Addr().String())
}

// Transport returns a transport that dials the Server for every address. For a TLS server, call it before the start.
func Transport(s *httptest.Server) *http.Transport {
	l := s.Listener
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(l) }}
}

// pipes is a net.Listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	toServer, toClient := newPipe(), newPipe()
	select {
	case p.conns <- &pipeEnd{in: toServer, out: toClient}:
		return &pipeEnd{in: toClient, out: toServer}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return loopback }
