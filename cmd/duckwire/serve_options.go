package main

import (
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// handlerOptions returns the configured options of the handlers.
func handlerOptions(cfg *config.Config) (handlers.Options, error) {
	authorizer, err := newAuthorizer(cfg)
	if err != nil {
		return handlers.Options{}, err
	}
	proxies, err := middleware.ParseProxies(cfg.TrustedProxies)
	return handlers.Options{
		Authorizer: authorizer, Proxies: proxies, BasePath: cfg.BasePath, AllowedOrigins: cfg.AllowedOrigins,
		BodyBytes:        int64(cfg.BodyBytes),
		TopicsPerSession: cfg.TopicsPerSession, ChannelsPerSocket: cfg.ChannelsPerSocket, Connections: cfg.Connections,
		ConnectionsPerUser: cfg.ConnectionsPerUser, ConnectionsPerKey: cfg.KeyConnections,
		ConnectionsPerAddress: cfg.ConnectionsPerAddr, Rates: rateLimits(cfg),
		BodyTimeout: cfg.BodyTimeout, UploadSilence: cfg.UploadSilence, WriteTimeout: cfg.WriteTimeout,
		UpstreamPaths: append([]string{}, cfg.UpstreamPaths...), UpstreamAnswerTimeout: cfg.UpstreamAnswerTimeout,
		KeepChat: zeroAsNone(cfg.KeepChat), KeepCompletions: cfg.KeepCompletions,
		Heartbeat: cfg.Heartbeat, PresenceGrace: zeroAsNone(cfg.PresenceGrace), OpenMetrics: cfg.Metrics == "open",
	}, err
}

// upstreamOptions returns the options of one of the upstreams.
func upstreamOptions(cfg *config.Config, u *config.Upstream) openai.Options {
	o := openai.Options{
		BaseURL: u.URL, Key: u.Key, Model: u.Model, FIM: openai.FIM(u.FIM),
		ConnectTimeout: cfg.UpstreamConnectTimeout, FirstTokenTimeout: cfg.UpstreamFirstTokenTimeout,
		SilenceTimeout: cfg.UpstreamSilenceTimeout, AnswerTimeout: cfg.UpstreamAnswerTimeout,
		EndTimeout: cfg.UpstreamEndTimeout, Dialect: openai.DialectName(u.Dialect), MaxEvent: int(cfg.UpstreamEventBytes),
	}
	if len(cfg.UpstreamList()) > 1 {
		o.Tries = 2 // then the next one is asked
	}
	return o
}

// newAuthorizer returns the authorizer: the token's capabilities and, if it is configured, the application.
func newAuthorizer(cfg *config.Config) (rights.Authorizer, error) {
	if cfg.AuthorizeURL == "" {
		return rights.CapsAuthorizer{}, nil
	}
	return auth.NewURLAuthorizer(auth.URLAuthorizerOptions{URL: cfg.AuthorizeURL, TTL: zeroAsNone(cfg.AuthorizeTTL)})
}

// zeroAsNone returns -1 for 0: in the configuration 0 means none, in the options 0 means the default and -1 none.
func zeroAsNone[T int | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// rateLimits returns the configured rate limits.
func rateLimits(cfg *config.Config) ratelimit.Limits {
	return ratelimit.Limits{
		HeavyPerMinute: zeroAsNone(cfg.HeavyPerMinute), EventsPerSecond: zeroAsNone(cfg.EventsPerSecond),
		CursorsPerSecond: zeroAsNone(cfg.CursorsPerSecond), QueuePerSecond: zeroAsNone(cfg.QueuePerSecond),
		JoinsPerMinute: zeroAsNone(cfg.JoinsPerMinute), FailuresPerMinute: zeroAsNone(cfg.FailuresPerMinute),
		KeyHeavyPerMinute: zeroAsNone(cfg.KeyHeavyPerMinute), KeyFactor: cfg.KeyFactor,
	}
}

func hubLimits(cfg *config.Config) hub.Limits {
	return hub.Limits{
		MessageBytes: int(cfg.MessageBytes), BatchEvents: cfg.BatchEvents, HistoryEvents: cfg.HistoryEvents,
		HistoryBytes: int64(cfg.HistoryBytes), HistoryTTL: cfg.HistoryTTL, Topics: cfg.Topics,
		EphemeralKeys: cfg.EphemeralKeys, EphemeralTTL: cfg.EphemeralTTL,
		PresencePerTopic: cfg.PresencePerTopic, PresenceMetaBytes: int(cfg.PresenceMetaBytes),
		StreamBytes: int64(cfg.StreamBytes), StreamTTL: cfg.StreamTTL, StreamsPerUser: cfg.StreamsPerUser,
		StreamsPerKey: cfg.KeyStreams, Lease: cfg.Lease, LogMemory: int64(cfg.LogMemory),
		QueueMax: cfg.QueueMax, QueueBytes: int64(cfg.QueueBytes), QueueTTL: cfg.QueueTTL,
		JobWait: cfg.JobWait, Jobs: cfg.Jobs, JobsPerUser: cfg.JobsPerUser,
		JobsPerKey: cfg.JobsPerUser * cfg.KeyFactor, JobBytes: int64(cfg.JobBytes),
	}
}
