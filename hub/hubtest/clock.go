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

// OwnClock runs a test on a clock of its own, which goes on only when everybody waits: an hour takes no time, and how fast the machine is
// changes nothing. The servers of Server have no port there: who dials them gets an end of a pipe. The clock stands still, and the test
// hangs, where somebody waits for a mutex whose holder waits for time to pass.
func OwnClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// HasOwnClock tells whether the caller is inside OwnClock: there the clock begins in the year 2000.
func HasOwnClock() bool { return time.Now().Year() < 2020 }

// Server makes an HTTP server that is yet to be started: on a loopback port, or on pipes inside OwnClock. Its clients are those of Transport.
func Server(h http.Handler) *httptest.Server {
	if !HasOwnClock() {
		return httptest.NewUnstartedServer(h)
	}
	return &httptest.Server{Listener: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, Config: &http.Server{Handler: h}}
}

// Dial opens a connection to a Server.
func Dial(s *httptest.Server) (net.Conn, error) { return dial(s.Listener) }

func dial(l net.Listener) (net.Conn, error) {
	if p, ok := l.(*pipes); ok {
		return p.dial()
	}
	return net.Dial("tcp", l.Addr().String())
}

// Transport makes a transport whose connections are all to a Server. For one with TLS it is asked for before the start.
func Transport(s *httptest.Server) *http.Transport {
	l := s.Listener
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(l) }}
}

// pipes is a net.Listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	there, back := newPipe(), newPipe()
	select {
	case p.conns <- &pipeEnd{in: there, out: back}:
		return &pipeEnd{in: back, out: there}, nil
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
