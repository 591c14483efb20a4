package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/provider/local"
	"github.com/duckwire/duckwire/hub/provider/openai"
	"github.com/duckwire/duckwire/hub/provider/pool"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/tracing"
)

// app has everything behind the listener.
type app struct {
	handler http.Handler
	guests  *middleware.Guests        // connections without a valid credential
	ready   atomic.Bool               // for /readyz: true while the server listens and does not drain
	drain   func(ctx context.Context) // tells clients to reconnect, settles streams and queues; nil: not needed
	until   time.Time                 // the end of the drain timeout; zero: not stopping
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

// buildServer creates the app's parts: provider and stores, then the hub, then the handlers. After an error nothing is
// left open.
func buildServer(cfg *config.Config, logger *slog.Logger) (_ *app, err error) {
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
	stores, err := a.openStores(cfg, logger)
	if err != nil {
		return nil, err
	}
	verifier, err := a.openVerifier(cfg, stores.revocations, logger)
	if err != nil {
		return nil, err
	}
	options, err := handlerOptions(cfg)
	if err != nil {
		return nil, err
	}
	h, err := a.openHub(hub.Options{
		Limits: hubLimits(cfg), Provider: traces.Provider(provider), Streams: stores.streams, Topics: stores.topics,
		Presences: stores.presences, Queue: stores.queue, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	options.Hub, options.Verifier, options.Conversations, options.Logger = h, verifier, stores.conversations, logger
	options.Trace, options.Version = traces.Requests(), buildVersion()
	options.Degraded = func() []string { return degraded(stores.err()) }
	options.Ready = a.readiness(verifier)
	a.guests = &middleware.Guests{Proxies: options.Proxies, Most: cfg.Guests, PerAddress: cfg.GuestsPerAddress}
	a.openHandlers(h, options)
	return a, nil
}

// openHub starts the hub. It is closed before the provider and the stores, which its streams use until they end.
func (a *app) openHub(o hub.Options) (*hub.Hub, error) {
	h := hub.New(o)
	a.closeFirst(func() error { h.Close(); return nil })
	return h, h.Restore()
}

// openHandlers creates the app's handler and its drain function.
func (a *app) openHandlers(h *hub.Hub, o handlers.Options) {
	edge := handlers.New(o)
	a.closeFirst(func() error { edge.Close(); return nil })
	a.handler = edge
	a.drain = func(ctx context.Context) {
		h.Drain(ctx, func() { edge.Drain(ctx) })
	}
}

// readiness returns the check for /readyz.
func (a *app) readiness(v *auth.Verifier) func(context.Context) error {
	return func(context.Context) error {
		if !a.ready.Load() {
			return errs.ErrClosed
		}
		return v.Ready()
	}
}

// closeFirst registers c to be called before all closers so far.
func (a *app) closeFirst(c func() error) { a.closers = slices.Insert(a.closers, 0, c) }

// provider generates completions. It is closed when nothing uses it any longer.
type provider interface {
	hub.Provider
	Close() error
}

// leastFlush is the time for the last traces if clients and streams used up the drain timeout.
const leastFlush = time.Second

// openTraces starts the export of traces if it is configured. It is closed after the hub, which ends the last spans,
// and before anything else.
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

// openProvider opens the upstreams if some are configured, else the built-in completer.
func (a *app) openProvider(cfg *config.Config, traces *tracing.Tracing, logger *slog.Logger) (p provider, err error) {
	if len(cfg.UpstreamList()) > 0 {
		p, err = openUpstreams(cfg, traces, logger)
	} else {
		o := local.Options{Corpus: cfg.LocalCorpus, TokenDelay: zeroAsNone(cfg.LocalTokenDelay), Logger: logger}
		p, err = local.New(o)
	}
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, p.Close)
	return p, nil
}

// openUpstreams returns the pool of the upstreams, also of a single one.
func openUpstreams(cfg *config.Config, traces *tracing.Tracing, logger *slog.Logger) (*pool.Pool, error) {
	var members []pool.Member
	for _, u := range cfg.UpstreamList() {
		o := upstreamOptions(cfg, &u)
		o.Header = traces.Header()
		upstream, err := openai.New(o)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Name, err)
		}
		members = append(members, pool.Member{
			Name: u.Name, Upstream: upstream, Models: u.Models, Model: u.Model, Host: hostOf(u.URL), Dialect: u.Dialect,
		})
	}
	return pool.New(pool.Options{Members: members, Logger: logger})
}

// hostOf returns the host of a URL, which may have a password elsewhere.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// openVerifier opens the verifier of tokens and API keys, with the revocations that the store has.
func (a *app) openVerifier(
	cfg *config.Config, store rights.RevocationStore, logger *slog.Logger,
) (*auth.Verifier, error) {
	revocations, err := rights.NewRevocations(rights.RevocationOptions{Store: store, TTL: cfg.RevocationTTL})
	if err != nil {
		return nil, err
	}
	a.closeFirst(revocations.Close) // before the store
	keys, err := auth.ParseAPIKeys(strings.Join(cfg.APIKeys, "\n"))
	if err != nil {
		return nil, err
	}
	v, err := auth.NewVerifier(context.Background(), auth.VerifierOptions{
		Secret: []byte(cfg.JWTSecret), PublicKeyPEM: []byte(cfg.JWTPublicKey), JWKSURL: cfg.JWKSURL, APIKeys: keys,
		Revocations: revocations, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { v.Close(); return nil })
	return v, nil
}
