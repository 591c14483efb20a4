package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
)

// app is everything behind the listener.
type app struct {
	handler http.Handler
	ready   atomic.Bool               // what /readyz says: from listening until draining
	drain   func(ctx context.Context) // tells clients to come back, settles streams and queues; nil: nothing to settle
	closers []func() error            // in the order of closing
}

// close closes what buildServer opened.
func (a *app) close(logger *slog.Logger) {
	for _, c := range a.closers {
		if err := c(); err != nil {
			logger.Error("closing", "error", err)
		}
	}
}

// buildServer puts the app together from its parts. What it opens stands in closers; after an error nothing is left open.
func buildServer(cfg *Config, logger *slog.Logger) (*app, error) {
	a := &app{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	a.handler = mux
	return a, nil
}
