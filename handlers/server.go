// Package handlers is the HTTP edge: it decodes requests, asks the hub, and encodes what it says in the shapes of design.md and
// protocol/sse.md. It decides nothing itself.
package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/duckwire/duckwire/handlers/channels"
	"github.com/duckwire/duckwire/handlers/metrics"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// Options configures the HTTP edge. Hub and Verifier are needed; a zero field of the rest means its default.
type Options struct {
	Hub        *hub.Hub
	Verifier   *auth.Verifier
	Authorizer rights.Authorizer // nil: the token's capabilities alone
	Logger     *slog.Logger      // nil: slog.Default

	Conversations conversation.Store // nil: they are kept in memory

	AllowedOrigins    []string // for CORS and cookies; none by default
	BodyBytes         int64    // of one request that is read whole (8 MiB)
	TopicsPerSession  int      // on one SSE connection (16)
	ChannelsPerSocket int      // joined at one time (100)

	Connections        int // live responses at one time (100,000)
	ConnectionsPerUser int // and of one user (1,000)

	ConnectionsPerAddress int                 // and of one address (5,000)
	Proxies               *middleware.Proxies // whose X-Forwarded-For tells the address; nil: none
	Rates                 ratelimit.Limits    // how often users may do what

	WriteTimeout  time.Duration // for one write to a client (30 s)
	BodyTimeout   time.Duration // how long a request's body may bring nothing (30 s); see middleware.SteadyBody
	UploadSilence time.Duration // and a chunked upload to a stream (10 min)
	Heartbeat     time.Duration // of silence before a sign of life (10 s)
	CommitAfter   time.Duration // how long a door waits for its provider before it answers 200 (5 s)
	KeepAfter     time.Duration // how long a door's completion goes on without watchers (10 s)

	PresenceGrace time.Duration // how long somebody whose connection was lost stays present (15 s); negative: not at all

	Ready func(ctx context.Context) error // nil: always; its error is shown at /readyz
	// Degraded tells what works less than it should, in words for people; shown at /readyz, which stays 200: what is left is still worth sending
	// work for. Nil: nothing ever.
	Degraded func() []string

	Trace func(http.Handler) http.Handler // around every request, once it has an id; nil: nothing

	Version     string // of the program, for /metrics
	OpenMetrics bool   // everybody who can reach the server may read /metrics; false: admins of MetricsTopic
}

func (o Options) withDefaults() Options {
	if o.Authorizer == nil {
		o.Authorizer = rights.CapsAuthorizer{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Degraded == nil {
		o.Degraded = func() []string { return nil }
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	setDefault(&o.BodyBytes, 8<<20)
	setDefault(&o.TopicsPerSession, 16)
	setDefault(&o.ChannelsPerSocket, 100)
	setDefault(&o.Connections, 100_000)
	setDefault(&o.ConnectionsPerUser, 1000)
	setDefault(&o.ConnectionsPerAddress, 5000)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.BodyTimeout, 30*time.Second)
	setDefault(&o.UploadSilence, 10*time.Minute)
	setDefault(&o.Heartbeat, 10*time.Second)
	setDefault(&o.CommitAfter, 5*time.Second)
	setDefault(&o.KeepAfter, 10*time.Second)
	setDefault(&o.PresenceGrace, 15*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

type server struct {
	Options
	hub         *hub.Hub
	handler     http.Handler // all of it, for what other nodes hand on
	logger      *slog.Logger
	connections connections
	rates       *ratelimit.Set
	sharedRates sync.WaitGroup // tells other nodes of the rates, until unshare
	stopSharing context.CancelFunc
	auth        auth.Options
	writers     writers.Pool // of long responses

	responses responses            // those that last, to be ended
	answered  middleware.Responses // for the metrics
	metrics   http.Handler
	profiling sync.Mutex // held while a profile is made

	channels *channels.Table
	sockets  *socket.Server
	relaying relayBuffer
}

// Edge is the handler of every path, and what lives on behind it: the sockets. End it with Drain and Close.
type Edge struct {
	http.Handler
	server *server
}

// New returns a running Edge.
func New(o Options) *Edge {
	s := newServer(o)
	s.sockets = s.newSockets()
	s.handler = escapeTopics(s.router())
	s.joinNodes()
	s.connections.shareUsage(&s.Options)
	var sharing context.Context
	sharing, s.stopSharing = context.WithCancel(context.Background())
	s.shareRates(sharing)
	return &Edge{s.handler, s}
}

// Drain tells the sockets to come back elsewhere, spread over at most the time that ctx has left. Other responses end with the hub's draining.
func (e *Edge) Drain(ctx context.Context) { e.server.sockets.Drain(ctx) }

// Close ends the sockets that are left, and returns when their goroutines have ended.
func (e *Edge) Close() {
	e.server.stopSharing()
	e.server.sharedRates.Wait()
	e.server.sockets.Close()
	e.server.writers.Wait()
}

func newServer(o Options) *server {
	o = o.withDefaults()
	table := channels.NewTable(o.Hub, o.Logger, o.Conversations)
	o.Authorizer = table.Guard(o.Authorizer)
	s := &server{
		Options: o, hub: o.Hub, logger: o.Logger, channels: table, rates: ratelimit.NewSet(o.Rates),
		auth: auth.Options{AllowedOrigins: o.AllowedOrigins, Failures: auth.NewFailures(o.Proxies, o.Rates.FailuresPerMinute)},
	}
	s.metrics = metrics.NewHandler(metrics.Source{Hub: o.Hub, Responses: &s.answered, Degraded: o.Degraded, Version: o.Version}, o.Logger)
	return s
}
