// Package httpserver listens, creates the http.Server with its time limits and its certificate, and closes unused
// connections when it stops.
package httpserver

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
)

// New returns the server with the time limits of every request. There is no WriteTimeout, because streams last for
// hours; instead each write gets its own deadline in handlers.
func New(h http.Handler, logger *slog.Logger) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ConnContext:       live.KeepConn,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250},         // one for each tab of a browser
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // TLS probes and cut connections are common
	}
	new(newConns).watch(srv)
	return srv
}

// Serve serves HTTPS if the server has a certificate, else HTTP.
func Serve(srv *http.Server, ln net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(ln, "", "") // TLSConfig has the certificate
	}
	return srv.Serve(ln)
}
