package httpserver

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// serveWith serves h with a listener of ours and returns a function that dials it and sends a request for a path.
func serveWith(t *testing.T, silence time.Duration, h http.Handler) func(path string) net.Conn {
	t.Helper()
	ln, err := Listen(t.Context(), Listening{Addr: "127.0.0.1:0", Silence: silence})
	if err != nil {
		t.Fatal(err)
	}
	srv := New(h, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-served })
	return func(path string) net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// TestVanishedPeersAreFound: the requests of clients that have vanished end, whether the server is silent, writes a
// little, or has filled the kernel's buffers. Linux's own limit is a quarter of an hour.
func TestVanishedPeersAreFound(t *testing.T) {
	t.Parallel()
	began, gone := make(chan string, 3), make(chan string, 3)
	write := func(w http.ResponseWriter, r *http.Request, piece []byte) {
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	}
	dial := serveWith(t, time.Second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- r.URL.Path
		switch r.URL.Path {
		case "/silent":
			<-r.Context().Done()
		case "/beats":
			write(w, r, []byte(":\n"))
		case "/floods":
			write(w, r, make([]byte, 4<<20))
		}
		gone <- r.URL.Path
	}))
	for _, path := range []string{"/silent", "/beats", "/floods"} {
		conn := dial(path)
		hubtest.Recv(t, "the request for "+path, began)
		hubtest.Vanish(t, conn)
	}
	for range 3 {
		hubtest.Recv(t, "the end of a request of a vanished client", gone)
	}
}

// TestSlowPeersLive: a client that takes a little at a time, over a period much longer than the limit of silence, gets
// everything.
func TestSlowPeersLive(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	dial := serveWith(t, time.Second, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Hung)
	defer cancel()
	conn := dial("/")
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	got, buf := 0, make([]byte, 64<<10)
	for got < size && ctx.Err() == nil {
		n, err := io.ReadFull(conn, buf)
		if got += n; err != nil && got < size {
			t.Fatalf("cut after %d bytes: %v", got, err)
		}
		time.Sleep(100 * time.Millisecond) // a slow link, five times as long as the limit in all
	}
}
