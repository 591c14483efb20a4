package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/meter"
)

// Stats has the state of a hub, and counters since its start. It has no names of users, topics or streams: the keys of
// maps are from fixed sets, so that they can be labels of metrics.
type Stats struct {
	Users    int                // users with a session
	Sessions [Transports]int    // now
	Opened   [Transports]uint64 // sessions opened since the start

	Topics   int
	Readers  int // of topics, streams and queues
	Behind   int // readers that have not read everything: they are written to at the moment, or are slow
	Present  int // presences on all topics, including those in their grace period
	LogBytes int64

	Delivered  [Transports]uint64 // items that clients' readers got
	Lag        meter.Distribution // how many entries behind readers were when they got items
	Resets     map[log.ResetReason]uint64
	Events     uint64 // published with a position
	Ephemerals uint64 // published without a position

	Streams         map[Status]int
	StreamsStarted  map[string]uint64 // by kind: "completion", "analysis", "other"
	StreamsEnded    []EndCount
	Cancelled       map[string]uint64 // by reason: "client", "unwatched"
	TokensMade      uint64
	TokensDelivered uint64             // that at least one watcher got
	TokensUnwatched uint64             // made while nobody watched
	FirstToken      meter.Distribution // seconds from a completion's request to its first token

	ProviderErrors map[string]uint64 // by code
	Limits         map[string]uint64 // refusals, by the setting that has the limit

	Queue *QueueTotals // nil: there is no store, or it does not answer
	Store *StoreStats  // nil: there is no store that counts
}

// EndCount is the number of streams of a kind that have ended with a status.
type EndCount struct {
	Kind   string
	Status Status
	Count  uint64
}

// StoreStats has a store's counters since it was opened.
type StoreStats struct {
	FileBytes, LogBytes int64         // sizes of the database and of its write-ahead log
	Commits             int64         // transactions
	Requests            int64         // in these transactions; divided by Commits: the mean size of a batch
	LargestBatch        int64         // the most requests of one transaction
	Messages            int64         // added to queues
	Expired             int64         // messages that were not acknowledged in time
	CommitTime          time.Duration // of all transactions together; with full durability nearly all of it is fsync
	CommitTimes         meter.Distribution
	LongestCommit       time.Duration
	Failures            int64 // batches that could not be written
	ChoreFailures       int64 // failed checkpoints and other maintenance
}

// A StoreMeter is a store that counts. The hub finds it with a type assertion.
type StoreMeter interface{ Stats() StoreStats }

// Stats returns a snapshot. It locks every topic and stream for a moment, so it should be called every few seconds at
// most.
func (h *Hub) Stats() Stats {
	st := Stats{LogBytes: h.LogBytes(), Events: h.counts.events.Load(), Ephemerals: h.counts.ephemerals.Load()}
	st.addSessions(&h.sessions)
	st.addTopics(h.topics.all())
	st.addStreams(h.streams.all())
	st.addQueues(&h.queues)
	st.addCounts(&h.counts)
	return st
}

func (st *Stats) addSessions(s *sessions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Users, st.Sessions, st.Opened = len(s.byUser), s.all, s.opened
}

// addReaders counts a log's readers. l is locked.
func (st *Stats) addReaders(l *log.Log) {
	st.Readers += l.Readers()
	st.Behind += l.Readers() - l.Parked()
}

func (st *Stats) addTopics(all []*topic) {
	st.Topics = len(all)
	for _, t := range all {
		t.Lock()
		st.addReaders(&t.Log)
		presences := t.presences
		t.Unlock()
		if presences != nil {
			presences.Lock()
			st.Present += presences.metas
			presences.Unlock()
		}
	}
}

func (st *Stats) addStreams(all []*Stream) {
	st.Streams = map[Status]int{StatusQueued: 0, StatusRunning: 0}
	for _, status := range endStatuses {
		st.Streams[status] = 0
	}
	for _, s := range all {
		s.log.Lock()
		st.addReaders(&s.log)
		if s.remote == nil { // the node that owns it counts it
			st.Streams[s.status]++
		}
		s.log.Unlock()
	}
}

func (st *Stats) addQueues(q *queues) {
	if q.store == nil {
		return
	}
	q.mu.Lock()
	open := make([]*queueLog, 0, len(q.open))
	for _, ql := range q.open {
		open = append(open, ql)
	}
	q.mu.Unlock()
	for _, ql := range open {
		ql.Lock()
		st.addReaders(&ql.Log)
		ql.Unlock()
	}
	if _, totals, err := q.store.QueueSummaries(0); err == nil {
		st.Queue = &totals
	}
	if m, ok := q.store.(StoreMeter); ok {
		figures := m.Stats()
		st.Store = &figures
	}
}

func (st *Stats) addCounts(c *counts) {
	st.Resets = make(map[log.ResetReason]uint64)
	for i := range c.shards {
		t := &c.shards[i]
		lag := t.lag.Snapshot()
		for via := range t.delivered {
			single := t.single[via].Load()
			st.Delivered[via] += single + t.delivered[via].Load()
			lag.Counts[0] += single // its bound is 1
			lag.Sum += float64(single)
		}
		for j, reason := range resetReasons {
			st.Resets[reason] += t.resets[j].Load()
		}
		st.TokensDelivered += t.tokens.Load()
		st.Lag = st.Lag.Plus(lag)
	}
	st.StreamsStarted = make(map[string]uint64)
	for kind := range c.started {
		name := streamKind(kind).String()
		st.StreamsStarted[name] = c.started[kind].Load()
		for i, status := range endStatuses {
			count := EndCount{Kind: name, Status: status, Count: c.ended[kind][i].Load()}
			st.StreamsEnded = append(st.StreamsEnded, count)
		}
	}
	st.Cancelled = make(map[string]uint64)
	for i, reason := range cancelReasons {
		st.Cancelled[reason] = c.cancelled[i].Load()
	}
	st.TokensMade, st.TokensUnwatched, st.FirstToken = c.made.Load(), c.unwatched.Load(), c.firstToken.Snapshot()
	st.ProviderErrors = make(map[string]uint64)
	for i, code := range providerCodes {
		st.ProviderErrors[code] = c.providerErrors[i].Load()
	}
	st.Limits = c.limits.Snapshot()
}
