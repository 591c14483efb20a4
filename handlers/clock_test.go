package handlers_test

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

// onOwnClock runs a test on a clock of its own, which goes on only when everybody waits: an hour takes no time, and how fast the machine is
// changes nothing. The servers that the test starts have no port: who dials them gets an end of a pipe.
func onOwnClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// hasOwnClock tells whether the caller is inside onOwnClock: there the clock begins in the year 2000.
func hasOwnClock() bool { return time.Now().Year() < 2020 }

// listen makes the HTTP server of a test: on a loopback port, or on pipes where there is no real clock.
func listen(edge http.Handler) *httptest.Server {
	if !hasOwnClock() {
		return httptest.NewUnstartedServer(edge)
	}
	return &httptest.Server{Listener: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, Config: &http.Server{Handler: edge}}
}

// pipes is a net.Listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- pipeEnd{far}:
		return pipeEnd{near}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// transport is for the clients of the server.
func (p *pipes) transport() *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial() }}
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

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

// pipeEnd is an end of a pipe that has an address.
type pipeEnd struct{ net.Conn }

func (pipeEnd) LocalAddr() net.Addr  { return loopback }
func (pipeEnd) RemoteAddr() net.Addr { return loopback }
