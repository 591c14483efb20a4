package httpserver

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// TestUnusedConnectionsAreClosedAtAStop: when the server stops, it closes connections that have not had a request,
// without waiting for them. It does not close connections that have had one.
func TestUnusedConnectionsAreClosedAtAStop(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := New(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	conns := &newConns{}
	conns.watch(srv)
	known := make(chan struct{}, 8)
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		conns.state(c, s)
		known <- struct{}{}
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-known
	conns.close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the unused connection: %v", err)
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}
