// Package handlers is the HTTP edge: it decodes requests, asks the hub, and encodes what it says in the shapes of design.md and
// protocol/sse.md. It decides nothing itself.
package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
)

// Options configures the HTTP edge. Hub and Verifier are needed; a zero field of the rest means its default.
type Options struct {
	Hub        *hub.Hub
	Verifier   *middleware.Verifier
	Authorizer hub.Authorizer // nil: the token's capabilities alone
	Logger     *slog.Logger   // nil: slog.Default

	AllowedOrigins   []string // for CORS and cookies; none by default
	BodyBytes        int64    // of one request that is read whole (8 MiB)
	TopicsPerSession int      // on one connection (16)

	Connections        int // live responses at one time (100,000)
	ConnectionsPerUser int // and of one user (1,000)

	WriteTimeout time.Duration // for one write to a client (30 s)
	Heartbeat    time.Duration // of silence before a sign of life (10 s)
	CommitAfter  time.Duration // how long a door waits for its provider before it answers 200 (5 s)
	KeepAfter    time.Duration // how long a door's completion goes on without watchers (10 s)

	PresenceGrace time.Duration // how long somebody whose connection was lost stays present (15 s); negative: not at all

	Ready func(ctx context.Context) error // nil: always; its error is shown at /readyz
}

func (o Options) withDefaults() Options {
	if o.Authorizer == nil {
		o.Authorizer = hub.CapsAuthorizer{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	def(&o.BodyBytes, 8<<20)
	def(&o.TopicsPerSession, 16)
	def(&o.Connections, 100_000)
	def(&o.ConnectionsPerUser, 1000)
	def(&o.WriteTimeout, 30*time.Second)
	def(&o.Heartbeat, 10*time.Second)
	def(&o.CommitAfter, 5*time.Second)
	def(&o.KeepAfter, 10*time.Second)
	def(&o.PresenceGrace, 15*time.Second)
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

type server struct {
	Options
	hub    *hub.Hub
	logger *slog.Logger
	live   connections
}

// New returns the handler of every path. It starts no goroutine; http.Server's own are its loops.
func New(o Options) http.Handler { return escapeTopics(newServer(o).router()) }

func newServer(o Options) *server {
	o = o.withDefaults()
	return &server{Options: o, hub: o.Hub, logger: o.Logger}
}

// authorizeAnywhere allows what names no topic: whoever may do it on any, or to whom the application allows it on their own user topic.
func (s *server) authorizeAnywhere(ctx context.Context, id *hub.Identity, a hub.Action) error {
	if id.Caps.AllowsAny(a) {
		return nil
	}
	return s.Authorizer.Authorize(ctx, id, "user:"+id.User, a)
}
