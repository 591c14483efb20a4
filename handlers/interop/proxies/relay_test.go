package proxies_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// relay is between a proxy and the server, so that a test can cut the proxy's connections as if the server had died.
type relay struct {
	addr    string
	control string // a POST to this URL also cuts, for clients in other processes
	target  string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String(), target: target, conns: map[net.Conn]bool{}}
	control := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { r.cut() }))
	r.control = control.URL
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.carry(conn) })
		}
	})
	t.Cleanup(func() {
		control.Close()
		ln.Close()
		r.cut()
		running.Wait()
	})
	return r
}

// carry copies data between a connection of the proxy and one of the server, until either is closed.
func (r *relay) carry(front net.Conn) {
	back, err := net.Dial("tcp", r.target)
	if err != nil {
		front.Close()
		return
	}
	r.mu.Lock()
	r.conns[front], r.conns[back] = true, true
	r.mu.Unlock()
	var both sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{front: back, back: front} {
		both.Go(func() {
			_, _ = io.Copy(to, from) // until either side closes
			to.Close()
			from.Close()
		})
	}
	both.Wait()
	r.mu.Lock()
	delete(r.conns, front)
	delete(r.conns, back)
	r.mu.Unlock()
}

// cut closes all connections, as if the server had died.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		conn.Close()
	}
}
