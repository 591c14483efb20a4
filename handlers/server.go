// Package handlers is the HTTP edge: it decodes requests, calls the hub, and encodes the results in the formats of
// openapi.yaml. It contains no decisions of its own.
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

// Options configures the HTTP edge. Hub and Verifier are required. Other zero fields mean their default.
type Options struct {
	Hub        *hub.Hub
	Verifier   *auth.Verifier
	Authorizer rights.Authorizer // nil: the token's capabilities alone
	Logger     *slog.Logger      // nil: slog.Default

	Conversations conversation.Store // nil: in memory

	BasePath          string   // below which clients see the server, such as "/duck"; see middleware.BasePath
	AllowedOrigins    []string // allowed by CORS and for cookies; none by default
	BodyBytes         int64    // maximum body that is read as a whole (8 MiB)
	TopicsPerSession  int      // maximum on one SSE connection (16)
	ChannelsPerSocket int      // maximum joined at one time (100)

	Connections        int // maximum live responses at one time (100,000)
	ConnectionsPerUser int // the same for one user (1,000)
	ConnectionsPerKey  int // the same for one API key, with those of users it acts for (10,000)

	ConnectionsPerAddress int                 // the same for one address, without API keys' (5,000)
	Proxies               *middleware.Proxies // whose X-Forwarded-For and -Prefix are trusted; nil: none
	Rates                 ratelimit.Limits    // rate limits of users and API keys

	WriteTimeout  time.Duration // timeout of one write to a client (30 s)
	BodyTimeout   time.Duration // how long a request's body may pause (30 s); see middleware.SteadyBody
	UploadSilence time.Duration // the same for a chunked upload to a stream (10 min)
	Heartbeat     time.Duration // interval of heartbeats on idle responses (10 s)
	CommitAfter   time.Duration // how long a completion waits for its provider before it answers 200 (5 s)

	// How long a completion continues without watchers, if its request does not say it. Negative: not at all.
	KeepChat        time.Duration // chats, to their end if the connection broke; text completions with an id (10 s)
	KeepCompletions time.Duration // other text completions (not at all)

	UpstreamPaths         []string      // paths below /v1 that go to the upstream (DefaultUpstreamPaths); empty: none
	UpstreamAnswerTimeout time.Duration // timeout of the answer to such a request, with its body (10 min)

	PresenceGrace time.Duration // how long presence remains after a lost connection (15 s); negative: not at all

	Ready func(ctx context.Context) error // nil: always ready; /readyz shows its error
	// Degraded returns human-readable reasons why the server works with restrictions. /readyz shows them, but stays
	// 200, because the server can still do useful work. Nil: no reasons.
	Degraded func() []string

	Trace func(http.Handler) http.Handler // middleware around every request, after its id is set; nil: none

	Version     string // the program's version, for /metrics
	OpenMetrics bool   // /metrics is public; false: it needs admin on MetricsTopic
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
	setDefault(&o.ConnectionsPerKey, 10_000)
	setDefault(&o.ConnectionsPerAddress, 5000)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.BodyTimeout, 30*time.Second)
	setDefault(&o.UploadSilence, 10*time.Minute)
	setDefault(&o.Heartbeat, 10*time.Second)
	setDefault(&o.CommitAfter, 5*time.Second)
	setDefault(&o.KeepChat, 10*time.Second)
	setDefault(&o.UpstreamAnswerTimeout, 10*time.Minute)
	if o.UpstreamPaths == nil {
		o.UpstreamPaths = DefaultUpstreamPaths
	}
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
	handler     http.Handler // the whole edge, for relayed requests
	logger      *slog.Logger
	connections connections
	rates       *ratelimit.Set
	sharedRates sync.WaitGroup // the goroutine of shareRates, until stopSharing
	stopSharing context.CancelFunc
	auth        auth.Options
	writers     writers.Pool // writes long responses

	responses responses            // long-running requests
	answered  middleware.Responses // counted for the metrics
	metrics   http.Handler
	profiling sync.Mutex // locked while a profile is made

	channels *channels.Table
	sockets  *socket.Server
	relaying relayBuffer
}

// Edge is the handler of all paths, and the sockets behind it. End it with Drain and Close.
type Edge struct {
	http.Handler
	server *server
}

// New returns a running Edge.
func New(o Options) *Edge {
	s := newServer(o)
	s.sockets = s.newSockets()
	s.handler = middleware.BasePath(o.BasePath, o.Proxies)(trimSlash(escapeSlashes(s.router())))
	s.joinNodes()
	s.connections.shareUsage(&s.Options)
	var sharing context.Context
	sharing, s.stopSharing = context.WithCancel(context.Background())
	s.shareRates(sharing)
	return &Edge{s.handler, s}
}

// Drain closes the sockets, spread over at most the time that ctx has left, so that their clients reconnect to other
// servers. Other responses end when the hub drains.
func (e *Edge) Drain(ctx context.Context) { e.server.sockets.Drain(ctx) }

// Close ends the remaining sockets, and returns when all goroutines have ended.
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
		auth: auth.Options{
			AllowedOrigins: o.AllowedOrigins,
			Failures:       auth.NewFailures(o.Proxies, o.Rates.FailuresPerMinute),
		},
	}
	s.Degraded = func() []string { return s.degraded(o.Degraded) }
	s.metrics = metrics.NewHandler(metrics.Source{
		Hub: o.Hub, Responses: &s.answered, Degraded: s.Degraded, Version: o.Version,
	}, o.Logger)
	return s
}
