package main

import (
	"crypto/rand"
	"log/slog"
	"strings"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// stores has the state that outlives the process.
type stores struct {
	streams       hub.StreamStore
	topics        hub.TopicStore    // nil: topics end with the process
	presences     hub.PresenceStore // nil: presences end with the process
	queue         hub.QueueStore
	revocations   rights.RevocationStore
	conversations conversation.Store // nil: conversations end with the process
	err           func() error       // why nothing can be stored now, or nil
}

// openStores opens the database of a single node, or the Redis that several nodes share.
func (a *app) openStores(cfg *config.Config, logger *slog.Logger) (stores, error) {
	if cfg.RedisURL != "" {
		s, err := a.openRedis(cfg, logger)
		if err != nil {
			return stores{}, err
		}
		return stores{streams: s, topics: s, presences: s, queue: s, revocations: s, conversations: s, err: s.Err}, nil
	}
	s, err := a.openStore(cfg, logger)
	if err != nil {
		return stores{}, err
	}
	return stores{streams: s, queue: s, revocations: s, err: s.Err}, nil
}

// openRedis connects this process, under a name of its own, to the Redis that the nodes share.
func (a *app) openRedis(cfg *config.Config, logger *slog.Logger) (*redis.Store, error) {
	s, err := redis.Open(redis.Options{
		URL: cfg.RedisURL, Node: strings.ToLower(rand.Text()[:12]), Logger: logger,
		StreamTTL: cfg.StreamTTL, Lease: cfg.NodeLease, Prefix: cfg.RedisPrefix, Replicas: cfg.RedisReplicas,
	})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { s.Close(); return nil })
	return s, nil
}

// openStore opens the database in the data folder.
func (a *app) openStore(cfg *config.Config, logger *slog.Logger) (*sqlite.Store, error) {
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

// degraded returns what does not work while the store has this error, for /readyz.
func degraded(err error) []string {
	if err == nil {
		return nil
	}
	return []string{"messages and streams cannot be kept at the moment: " + err.Error()}
}
