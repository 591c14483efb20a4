package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/meter"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// families are all metrics but histograms.
var families = []family{
	{
		"duckwire_build_info",
		"The program that runs; always 1.",
		gauge,
		[]string{"version", "goversion"},
		buildInfo,
	},
	{
		"duckwire_draining",
		"1 while the server goes down: clients are told to come back, and no new work is taken.",
		gauge, nil, func(s *snapshot, emit emit) {
			emit(flag(s.source.Hub.IsDraining()))
		},
	},
	{
		"duckwire_degraded",
		"1 while something works less than it should, such as a store that cannot write; /readyz says what.",
		gauge, nil, func(s *snapshot, emit emit) {
			emit(flag(len(s.source.Degraded()) > 0))
		},
	},
	{
		"duckwire_http_responses_total",
		"Finished requests, by method, route and class of status; 0xx: cut before there was one. " +
			"Long responses count at their end.",
		counter,
		[]string{"method", "route", "class"},
		responses,
	},

	{
		"duckwire_users",
		"Users who have a session now.",
		gauge, nil, func(s *snapshot, emit emit) { emit(float64(s.Users)) },
	},
	{
		"duckwire_connections",
		"Sessions now, by transport; wait: requests that wait for an answer.",
		gauge,
		[]string{"transport"},
		func(s *snapshot, emit emit) {
			for via, n := range s.Sessions {
				emit(float64(n), hub.Transport(via).String())
			}
		},
	},
	{
		"duckwire_connections_opened_total",
		"Sessions that were opened, by transport.",
		counter,
		[]string{"transport"},
		func(s *snapshot, emit emit) {
			byTransport(&s.Opened, emit)
		},
	},
	{
		"duckwire_limits_hit_total",
		"Requests, joins and messages that were refused, by the setting whose limit they met.",
		counter,
		[]string{"limit"},
		func(s *snapshot, emit emit) {
			byName(s.Limits, emit)
		},
	},

	{
		"duckwire_topics",
		"Topics that exist.",
		gauge, nil, func(s *snapshot, emit emit) { emit(float64(s.Topics)) },
	},
	{
		"duckwire_presences",
		"Presences on all topics, with those that wait for their client to come back.",
		gauge, nil, func(s *snapshot, emit emit) { emit(float64(s.Present)) },
	},
	{
		"duckwire_events_published_total",
		"Events that were published: kept (with a position) or ephemeral.",
		counter,
		[]string{"kind"},
		func(s *snapshot, emit emit) {
			emit(float64(s.Events), "kept")
			emit(float64(s.Ephemerals), "ephemeral")
		},
	},
	{
		"duckwire_readers",
		"Readers of topics, streams and queues: waiting have read all; behind are being written to, or are slow.",
		gauge,
		[]string{"state"},
		func(s *snapshot, emit emit) {
			emit(float64(s.Readers-s.Behind), "waiting")
			emit(float64(s.Behind), "behind")
		},
	},
	{
		"duckwire_deliveries_total",
		"Events, messages and runs of text that were handed to clients' connections, by transport.",
		counter,
		[]string{"transport"},
		func(s *snapshot, emit emit) { byTransport(&s.Delivered, emit) },
	},
	{
		"duckwire_resets_total",
		"Readers that could not go on exactly where they were, by reason.",
		counter,
		[]string{"reason"},
		func(s *snapshot, emit emit) {
			byName(s.Resets, emit)
		},
	},
	{
		"duckwire_log_bytes",
		"Memory that the logs of all topics, streams and open queues take, about.",
		gauge, nil, func(s *snapshot, emit emit) { emit(float64(s.LogBytes)) },
	},
	{
		"duckwire_log_limit_bytes",
		"The limit of that (log_memory); beyond it, what is old and unread is evicted, and then new work refused.",
		gauge, nil, func(s *snapshot, emit emit) {
			emit(float64(s.source.Hub.Limits().LogMemory))
		},
	},

	{
		"duckwire_streams",
		"Streams of this node that are kept, by status.",
		gauge,
		[]string{"status"},
		func(s *snapshot, emit emit) {
			for status, n := range s.Streams {
				emit(float64(n), string(status))
			}
		},
	},
	{
		"duckwire_streams_started_total",
		"Streams that were started, by kind.",
		counter,
		[]string{"kind"},
		func(s *snapshot, emit emit) { byName(s.StreamsStarted, emit) },
	},
	{
		"duckwire_streams_ended_total",
		"Streams that ended, by kind and status.",
		counter,
		[]string{"kind", "status"},
		func(s *snapshot, emit emit) {
			for _, end := range s.StreamsEnded {
				emit(float64(end.Count), end.Kind, string(end.Status))
			}
		},
	},
	{
		"duckwire_streams_cancelled_total",
		"Streams that were cancelled, by reason: client (somebody asked for it) or unwatched.",
		counter,
		[]string{"reason"},
		func(s *snapshot, emit emit) {
			byName(s.Cancelled, emit)
		},
	},
	{
		"duckwire_tokens_made_total",
		"Tokens that producers made: pieces of text and structured entries.",
		counter, nil, func(s *snapshot, emit emit) { emit(float64(s.TokensMade)) },
	},
	{
		"duckwire_tokens_delivered_total",
		"Tokens that at least one client was given.",
		counter, nil, func(s *snapshot, emit emit) { emit(float64(s.TokensDelivered)) },
	},
	{
		"duckwire_tokens_unwatched_total",
		"Tokens that were made while nobody watched: wasted, unless somebody reads them later.",
		counter, nil, func(s *snapshot, emit emit) {
			emit(float64(s.TokensUnwatched))
		},
	},
	{
		"duckwire_provider_errors_total",
		"Completions, analyses and lists of models that the provider or its upstream failed, by code.",
		counter,
		[]string{"code"},
		func(s *snapshot, emit emit) { byName(s.ProviderErrors, emit) },
	},

	{
		"duckwire_queue_users",
		"Users for whom messages wait. Of several nodes, each tells the same.",
		gauge, nil, ofQueue(func(s *snapshot) float64 { return float64(s.Queue.Users) }),
	},
	{
		"duckwire_queue_messages",
		"Messages that wait, of all users. Of several nodes, each tells the same.",
		gauge, nil, ofQueue(func(s *snapshot) float64 { return float64(s.Queue.Messages) }),
	},
	{
		"duckwire_queue_bytes",
		"Bytes of the payloads of messages that wait. Of several nodes, each tells the same.",
		gauge, nil, ofQueue(func(s *snapshot) float64 { return float64(s.Queue.Bytes) }),
	},
	{
		"duckwire_queue_oldest_age_seconds",
		"How long the oldest message has waited; 0 where none waits.",
		gauge, nil, ofQueue(func(s *snapshot) float64 {
			if s.Queue.Oldest.IsZero() {
				return 0
			}
			return max(s.now.Sub(s.Queue.Oldest).Seconds(), 0)
		}),
	},
	{
		"duckwire_queue_ttl_seconds",
		"How long a message waits before it expires (queue_ttl).",
		gauge, nil, func(s *snapshot, emit emit) {
			emit(s.source.Hub.Limits().QueueTTL.Seconds())
		},
	},
	{
		"duckwire_queue_accepted_total",
		"Messages that were accepted and are, or were, on disk; repeated ones count once.",
		counter, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.Messages) }),
	},
	{
		"duckwire_queue_expired_total",
		"Messages that nobody acknowledged in time.",
		counter, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.Expired) }),
	},

	{
		"duckwire_store_requests_total",
		"Requests to write that were committed; many share a commit.",
		counter, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.Requests) }),
	},
	{
		"duckwire_store_failures_total",
		"Batches of requests that could not be written.",
		counter, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.Failures) }),
	},
	{
		"duckwire_store_chore_failures_total",
		"Checkpoints and other tidying that failed.",
		counter, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.ChoreFailures) }),
	},
	{
		"duckwire_store_file_bytes",
		"Size of the database.",
		gauge, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.FileBytes) }),
	},
	{
		"duckwire_store_wal_bytes",
		"Size of the database's write-ahead log.",
		gauge, nil, ofStore(func(f *hub.StoreStats) float64 { return float64(f.LogBytes) }),
	},
}

// histograms are all histograms.
var histograms = []histogram{
	{
		"duckwire_first_token_seconds",
		"From the request for a completion to its first token.",
		func(s *snapshot) (meter.Distribution, bool) { return s.FirstToken, true },
	},
	{
		"duckwire_reader_lag_entries",
		"How many entries behind a client's reader was when it was given some.",
		func(s *snapshot) (meter.Distribution, bool) { return s.Lag, true },
	},
	{
		"duckwire_store_commit_seconds",
		"How long commits took; with full durability that is the fsync.",
		func(s *snapshot) (meter.Distribution, bool) {
			if s.Store == nil {
				return meter.Distribution{}, false
			}
			return s.Store.CommitTimes, true
		},
	},
}

func responses(s *snapshot, emit emit) {
	s.source.Responses.Each(func(method, route string, class int, n uint64) {
		emit(float64(n), method, route, strconv.Itoa(class)+"xx")
	})
}

func byTransport(counts *[hub.Transports]uint64, emit emit) {
	for via, n := range counts {
		emit(float64(n), hub.Transport(via).String())
	}
}

func byName[K ~string](counts map[K]uint64, emit emit) {
	for name, n := range counts {
		emit(float64(n), string(name))
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// ofQueue omits a metric while the queues are unavailable, because no value is better than a wrong one.
func ofQueue(value func(s *snapshot) float64) func(*snapshot, emit) {
	return func(s *snapshot, emit emit) {
		if s.Queue != nil {
			emit(value(s))
		}
	}
}

// ofStore omits a metric if the store does not count.
func ofStore(value func(f *hub.StoreStats) float64) func(*snapshot, emit) {
	return func(s *snapshot, emit emit) {
		if s.Store != nil {
			emit(value(s.Store))
		}
	}
}
