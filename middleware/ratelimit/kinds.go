package ratelimit

import "time"

// Kind is a kind of operation that is limited.
type Kind uint8

// The kinds. Everything that is none of the others counts as Events.
const (
	Events  Kind = iota // publishes, and other messages on a channel
	Heavy               // what makes a model work: completions, analyses, messages of conversations
	Cursors             // events without history, and changes of a presence
	Queue               // messages sent to users' queues
	Joins               // joins of channels, and subscriptions of topics
	kinds
)

// Limits configure the rate of each kind. They apply per user, except that cursors are counted per session. Zero means
// the default, a negative value no limit.
type Limits struct {
	HeavyPerMinute    int // (100)
	EventsPerSecond   int // (1,000)
	CursorsPerSecond  int // (60)
	QueuePerSecond    int // (1,000)
	JoinsPerMinute    int // (6,000)
	FailuresPerMinute int // per address (10); see auth.Failures
}

// WithDefaults returns l with zeros replaced by the defaults.
func (l Limits) WithDefaults() Limits {
	def := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	def(&l.HeavyPerMinute, 100)
	def(&l.EventsPerSecond, 1000)
	def(&l.CursorsPerSecond, 60)
	def(&l.QueuePerSecond, 1000)
	def(&l.JoinsPerMinute, 6000)
	def(&l.FailuresPerMinute, 10)
	return l
}

// Set has a Limiter for each kind. A nil Set limits nothing.
type Set struct{ limiters [kinds]*Limiter }

// NewSet returns the limiters of l. The burst is a minute's worth for limits per minute and ten seconds' worth for
// limits per second, since a client that opens a page or reconnects does many things at once. The defaults for cheap
// operations are high enough for a program that publishes for many people as one user.
func NewSet(l Limits) *Set {
	l = l.WithDefaults()
	return &Set{[kinds]*Limiter{
		Heavy: New("completions, analyses and messages to a model of one user a minute (heavy_per_minute)",
			Rate{Limit: l.HeavyPerMinute, Per: time.Minute}),
		Events: New("events of one user a second (events_per_second)",
			Rate{Limit: l.EventsPerSecond, Per: time.Second, Burst: 10 * l.EventsPerSecond}),
		Cursors: New("cursor-like events of one session a second (cursors_per_second)",
			Rate{Limit: l.CursorsPerSecond, Per: time.Second, Burst: 10 * l.CursorsPerSecond}),
		Queue: New("messages that one user leaves a second (queue_per_second)",
			Rate{Limit: l.QueuePerSecond, Per: time.Second, Burst: 10 * l.QueuePerSecond}),
		Joins: New("joins of one user a minute (joins_per_minute)", Rate{Limit: l.JoinsPerMinute, Per: time.Minute}),
	}}
}

// Shared returns the limiters that nodes share, by name: those that count per user. A session is on one node, so the
// limiter of cursors is not shared.
func (s *Set) Shared() map[string]*Limiter {
	return map[string]*Limiter{
		"heavy": s.limiters[Heavy], "events": s.limiters[Events], "queue": s.limiters[Queue],
		"joins": s.limiters[Joins],
	}
}

// Take takes n tokens from a key's bucket for a kind. It returns the errors of Limiter.Take.
func (s *Set) Take(k Kind, key string, n int) error {
	if s == nil {
		return nil
	}
	return s.limiters[k].Take(key, n)
}
