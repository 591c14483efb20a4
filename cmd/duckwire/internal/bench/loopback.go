package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// serveLoopback serves h on a free port of this machine until ctx ends. Like Duckwire's server, it logs the URL at
// which it listens.
func serveLoopback(ctx context.Context, log io.Writer, h http.Handler) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if _, err := fmt.Fprintf(log, "{\"msg\":\"listening\",\"url\":\"http://%s\"}\n", ln.Addr()); err != nil {
		_ = ln.Close()
		return err
	}
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}
