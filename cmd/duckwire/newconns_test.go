package main

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection without a request does not hold up a stop: it is closed, not waited for.
func TestStopDoesNotWaitForUnusedConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	accepted := make(chan struct{}, 8)
	state := srv.ConnState
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		state(c, s)
		accepted <- struct{}{}
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-accepted
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = conn.Read(make([]byte, 1))
	}()
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(t.Context()) }()
	select {
	case <-closed: // by us, before Shutdown's own five seconds
	case err := <-stopped:
		t.Errorf("the stop (%v) came before the connection was closed", err)
	case <-time.After(4 * time.Second):
		t.Error("the unused connection is still open")
	}
	conn.Close()
	<-stopped
	<-served
}
