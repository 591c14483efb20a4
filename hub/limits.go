package hub

import "time"

// Limits bounds everything in a hub that can grow. A zero field means its default, in parentheses.
type Limits struct {
	MessageBytes      int           // payload of one event (1 MiB)
	BatchEvents       int           // events of one publish (100)
	HistoryEvents     int           // events retained of a topic (1,000)
	HistoryBytes      int64         // bytes retained of a topic, an estimate (4 MiB)
	HistoryTTL        time.Duration // retention of events, and of topics that nobody uses (1 h)
	Topics            int           // topics that exist at one time (100,000)
	EphemeralKeys     int           // pairs of sender and event name retained of a topic (1,000)
	EphemeralTTL      time.Duration // retention of an ephemeral event (60 s)
	PresencePerTopic  int           // presences on one topic, including those in their grace period (5,000)
	PresenceMetaBytes int           // meta of one presence (4 KiB)
	StreamBytes       int64         // text and events of one stream (64 MiB)
	StreamTTL         time.Duration // retention of a stream after its end (1 h)
	StreamsPerUser    int           // unfinished streams of one user (100)
	StreamsPerKey     int           // unfinished streams of one API key, with those of users it acts for (10,000)
	Lease             time.Duration // how long an external producer keeps its stream without a request (30 s)
	QueueMax          int           // messages stored for one user (1,000)
	QueueBytes        int64         // bytes of their payloads (16 MiB)
	QueueTTL          time.Duration // retention of a message (24 h)
	JobWait           time.Duration // how long a job waits for a worker (60 s)
	Jobs              int           // jobs that wait at one time (1,000)
	JobsPerUser       int           // unfinished jobs of one user (20)
	JobsPerKey        int           // unfinished jobs of one API key, with those of users it acts for (200)
	JobBytes          int64         // code of all unfinished jobs together (64 MiB)
	LogMemory         int64         // bytes of all logs together, an estimate (512 MiB)
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.MessageBytes, 1<<20)
	setDefault(&l.BatchEvents, 100)
	setDefault(&l.HistoryEvents, 1000)
	setDefault(&l.HistoryBytes, 4<<20)
	setDefault(&l.HistoryTTL, time.Hour)
	setDefault(&l.Topics, 100_000)
	setDefault(&l.EphemeralKeys, 1000)
	setDefault(&l.EphemeralTTL, time.Minute)
	setDefault(&l.PresencePerTopic, 5000)
	setDefault(&l.PresenceMetaBytes, 4<<10)
	setDefault(&l.StreamBytes, 64<<20)
	setDefault(&l.StreamTTL, time.Hour)
	setDefault(&l.StreamsPerUser, 100)
	setDefault(&l.StreamsPerKey, 10_000)
	setDefault(&l.Lease, 30*time.Second)
	setDefault(&l.QueueMax, 1000)
	setDefault(&l.QueueBytes, 16<<20)
	setDefault(&l.QueueTTL, 24*time.Hour)
	setDefault(&l.JobWait, time.Minute)
	setDefault(&l.Jobs, 1000)
	setDefault(&l.JobsPerUser, 20)
	setDefault(&l.JobsPerKey, 200)
	setDefault(&l.JobBytes, 64<<20)
	setDefault(&l.LogMemory, 512<<20)
	return l
}

// maxLogMemory bounds the memory of all logs when nothing can be evicted. Above LogMemory nothing new begins; the rest
// is for streams that already run.
func (l *Limits) maxLogMemory() int64 { return l.LogMemory + l.LogMemory/4 }

// setDefault sets a field that is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
