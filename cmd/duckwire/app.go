package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/provider/local"
	"github.com/duckwire/duckwire/hub/provider/openai"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
	"github.com/duckwire/duckwire/middleware/tracing"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// app is everything behind the listener.
type app struct {
	handler http.Handler
	guests  *middleware.Guests        // of whatever serves the handler
	ready   atomic.Bool               // what /readyz says: from listening until draining
	drain   func(ctx context.Context) // tells clients to come back, settles streams and queues; nil: nothing to settle
	until   time.Time                 // when the drain timeout is over; zero: no stop has begun
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

// buildServer puts the app together from its parts: provider → hub → handlers. What it opens stands in closers; after an error nothing is
// left open.
func buildServer(cfg *Config, logger *slog.Logger) (_ *app, err error) {
	a := &app{}
	defer func() {
		if err != nil {
			a.close(logger)
		}
	}()
	traces, err := a.openTraces(logger)
	if err != nil {
		return nil, err
	}
	provider, err := a.openProvider(cfg, traces, logger)
	if err != nil {
		return nil, err
	}
	keep, err := a.openStores(cfg, logger)
	if err != nil {
		return nil, err
	}
	verifier, err := a.openVerifier(cfg, keep.revocations, logger)
	if err != nil {
		return nil, err
	}
	authorizer, err := newAuthorizer(cfg)
	if err != nil {
		return nil, err
	}
	proxies, err := middleware.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	h := hub.New(hub.Options{Limits: hubLimits(cfg), Provider: traces.Provider(provider), Streams: keep.streams, Topics: keep.topics, Presences: keep.presences, Queue: keep.queue, Logger: logger})
	a.closers = append([]func() error{func() error { h.Close(); return nil }}, a.closers...) // the hub's streams end before their provider and the store
	if err := h.Restore(); err != nil {
		return nil, err
	}
	edge := handlers.New(handlers.Options{
		Hub: h, Verifier: verifier, Authorizer: authorizer, Conversations: keep.talks, Logger: logger, AllowedOrigins: cfg.AllowedOrigins, BodyBytes: int64(cfg.BodyBytes),
		TopicsPerSession: cfg.TopicsPerSession, ChannelsPerSocket: cfg.ChannelsPerSocket, Connections: cfg.Connections, ConnectionsPerUser: cfg.ConnectionsPerUser,
		ConnectionsPerAddress: cfg.ConnectionsPerAddr, Proxies: proxies, Rates: rateLimits(cfg), BodyTimeout: cfg.BodyTimeout, UploadSilence: cfg.UploadSilence,
		WriteTimeout: cfg.WriteTimeout, Heartbeat: cfg.Heartbeat, PresenceGrace: presenceGrace(cfg),
		Trace: traces.Requests(), Version: buildVersion(), OpenMetrics: cfg.Metrics == "open",
		Degraded: func() []string { return degraded(keep.err()) },
		Ready: func(context.Context) error {
			if !a.ready.Load() {
				return errs.ErrClosed
			}
			return verifier.Ready()
		},
	})
	a.handler = edge
	a.guests = &middleware.Guests{Proxies: proxies, Most: cfg.Guests, PerAddress: cfg.GuestsPerAddress}
	a.closers = append([]func() error{func() error { edge.Close(); return nil }}, a.closers...)
	a.drain = func(ctx context.Context) {
		var sockets sync.WaitGroup
		sockets.Go(func() { edge.Drain(ctx) })
		h.Drain(ctx)
		sockets.Wait()
	}
	return a, nil
}

// stores keep what survives the end of the process.
type stores struct {
	streams     hub.StreamStore
	topics      hub.TopicStore    // nil: they do not
	presences   hub.PresenceStore // nil: they do not
	queue       hub.QueueStore
	revocations rights.RevocationStore
	talks       hub.ConversationStore // nil: they do not
	err         func() error          // why nothing can be kept at the moment, or nil
}

// openStores opens the database of one node, or what several share.
func (a *app) openStores(cfg *Config, logger *slog.Logger) (stores, error) {
	if cfg.RedisURL != "" {
		s, err := a.openRedis(cfg, logger)
		if err != nil {
			return stores{}, err
		}
		return stores{streams: s, topics: s, presences: s, queue: s, revocations: s, talks: s, err: s.Err}, nil
	}
	s, err := a.openStore(cfg, logger)
	if err != nil {
		return stores{}, err
	}
	return stores{streams: s, queue: s, revocations: s, err: s.Err}, nil
}

// openRedis joins the nodes that share a Redis, under a name of this process's own.
func (a *app) openRedis(cfg *Config, logger *slog.Logger) (*redis.Store, error) {
	s, err := redis.Open(redis.Options{URL: cfg.RedisURL, Node: strings.ToLower(rand.Text()[:12]), Logger: logger, StreamTTL: cfg.StreamTTL, Lease: cfg.NodeLease, Replicas: cfg.RedisReplicas})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { s.Close(); return nil })
	return s, nil
}

func (a *app) openStore(cfg *Config, logger *slog.Logger) (*sqlite.Store, error) {
	durability := sqlite.Full
	if cfg.Durable == "normal" {
		durability = sqlite.Normal
	}
	store, err := sqlite.Open(sqlite.Options{Dir: cfg.DataDir, Durability: durability, Logger: logger})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, store.Close)
	return store, nil
}

// degraded tells what does not work while the store does not.
func degraded(err error) []string {
	if err == nil {
		return nil
	}
	return []string{"messages and streams cannot be kept at the moment: " + err.Error()}
}

// provider is what makes completions and is closed when nobody asks it any longer.
type provider interface {
	hub.Provider
	Close() error
}

// leastFlush is how long the last traces may take where clients and streams took the whole drain timeout.
const leastFlush = time.Second

// openTraces begins to send traces where they are wanted. They are closed behind the hub, whose end ends the last spans, and before anything else.
func (a *app) openTraces(logger *slog.Logger) (*tracing.Tracing, error) {
	traces, err := tracing.Start(logger, buildVersion())
	if err != nil || traces == nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(a.until), leastFlush))
		defer cancel()
		return traces.Close(ctx)
	})
	return traces, nil
}

// openProvider opens the upstream where there is one, else the built-in completer.
func (a *app) openProvider(cfg *Config, traces *tracing.Tracing, logger *slog.Logger) (p provider, err error) {
	if cfg.UpstreamURL != "" {
		o := upstreamOptions(cfg)
		o.Header = traces.Header()
		p, err = openai.New(o)
	} else {
		delay := cfg.LocalTokenDelay
		if delay == 0 {
			delay = -1 // there 0 means the default
		}
		p, err = local.New(local.Options{Corpus: cfg.LocalCorpus, TokenDelay: delay, Logger: logger})
	}
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, p.Close)
	return p, nil
}

func upstreamOptions(cfg *Config) openai.Options {
	return openai.Options{
		BaseURL: cfg.UpstreamURL, Key: cfg.UpstreamKey, Model: cfg.UpstreamModel, FIM: openai.FIM(cfg.UpstreamFIM),
		ConnectTimeout: cfg.UpstreamConnectTimeout, FirstTokenTimeout: cfg.UpstreamFirstTokenTimeout, SilenceTimeout: cfg.UpstreamSilenceTimeout,
	}
}

// openVerifier opens what tells whose a token is, and what was revoked.
func (a *app) openVerifier(cfg *Config, store rights.RevocationStore, logger *slog.Logger) (*auth.Verifier, error) {
	revocations, err := rights.NewRevocations(rights.RevocationOptions{Store: store, TTL: cfg.RevocationTTL})
	if err != nil {
		return nil, err
	}
	a.closers = append([]func() error{revocations.Close}, a.closers...) // before the store
	keys, err := auth.ParseAPIKeys(strings.Join(cfg.APIKeys, "\n"))
	if err != nil {
		return nil, err
	}
	v, err := auth.NewVerifier(context.Background(), auth.VerifierOptions{
		Secret: []byte(cfg.JWTSecret), PublicKeyPEM: []byte(cfg.JWTPublicKey), JWKSURL: cfg.JWKSURL, APIKeys: keys, Revocations: revocations, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { v.Close(); return nil })
	return v, nil
}

// newAuthorizer returns who decides: the token's capabilities, and behind them the application where it wants to be asked.
func newAuthorizer(cfg *Config) (rights.Authorizer, error) {
	if cfg.AuthorizeURL == "" {
		return rights.CapsAuthorizer{}, nil
	}
	ttl := cfg.AuthorizeTTL
	if ttl == 0 {
		ttl = -1 // there 0 means the default
	}
	return auth.NewURLAuthorizer(auth.URLAuthorizerOptions{URL: cfg.AuthorizeURL, TTL: ttl})
}

func presenceGrace(cfg *Config) time.Duration {
	if cfg.PresenceGrace == 0 {
		return -1 // there 0 means the default
	}
	return cfg.PresenceGrace
}

// rateLimits are the limits by time; in the configuration 0 is none.
func rateLimits(cfg *Config) ratelimit.Limits {
	or := func(n int) int {
		if n == 0 {
			return -1 // there 0 means the default
		}
		return n
	}
	return ratelimit.Limits{
		HeavyPerMinute: or(cfg.HeavyPerMinute), EventsPerSecond: or(cfg.EventsPerSecond), CursorsPerSecond: or(cfg.CursorsPerSecond),
		QueuePerSecond: or(cfg.QueuePerSecond), JoinsPerMinute: or(cfg.JoinsPerMinute), FailuresPerMinute: or(cfg.FailuresPerMinute),
	}
}

func hubLimits(cfg *Config) hub.Limits {
	return hub.Limits{
		MessageBytes: int(cfg.MessageBytes), BatchEvents: cfg.BatchEvents, HistoryEvents: cfg.HistoryEvents, HistoryBytes: int64(cfg.HistoryBytes),
		HistoryTTL: cfg.HistoryTTL, Topics: cfg.Topics, EphemeralKeys: cfg.EphemeralKeys, EphemeralTTL: cfg.EphemeralTTL,
		PresencePerTopic: cfg.PresencePerTopic, PresenceMetaBytes: int(cfg.PresenceMetaBytes),
		StreamBytes: int64(cfg.StreamBytes), StreamTTL: cfg.StreamTTL, StreamsPerUser: cfg.StreamsPerUser, Lease: cfg.Lease, LogMemory: int64(cfg.LogMemory),
		QueueMax: cfg.QueueMax, QueueBytes: int64(cfg.QueueBytes), QueueTTL: cfg.QueueTTL,
		JobWait: cfg.JobWait, Jobs: cfg.Jobs, JobsPerUser: cfg.JobsPerUser, JobBytes: int64(cfg.JobBytes),
	}
}
