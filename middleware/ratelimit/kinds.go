package ratelimit

import "time"

// Kind is what somebody does, as far as it is counted.
type Kind uint8

// The kinds. What is neither of the others is an event.
const (
	Events  Kind = iota // publishes, and other messages on a channel
	Heavy               // what a model or an analysis has work with: completions, analyses, messages of conversations
	Cursors             // events without history, and what changes a presence
	Queue               // messages that are left for users
	Joins               // joins of channels, and topics that are followed
	kinds
)

// Limits say how often each kind may be done: a user's, but for cursors, which are counted for each session. Zero means the default, less than zero
// no limit.
type Limits struct {
	HeavyPerMinute    int // (100)
	EventsPerSecond   int // (1,000)
	CursorsPerSecond  int // (60)
	QueuePerSecond    int // (1,000)
	JoinsPerMinute    int // (6,000)
	FailuresPerMinute int // of one address (10); see auth.Failures
}

// WithDefaults returns l with the defaults in the place of zeros.
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

// Set is a Limiter for each kind. A nil Set refuses nothing.
type Set struct{ limiters [kinds]*Limiter }

// NewSet returns the limiters of l. How much may be done at once is a minute's worth of what is counted by the minute, and ten seconds' worth of what is
// counted by the second: who opens a page or comes back after a cut does many things at a time. The defaults of what is cheap are those of a program that
// publishes for many people as one user.
func NewSet(l Limits) *Set {
	l = l.WithDefaults()
	return &Set{[kinds]*Limiter{
		Heavy:   New("completions, analyses and messages to a model of one user a minute (heavy_per_minute)", Rate{Limit: l.HeavyPerMinute, Per: time.Minute}),
		Events:  New("events of one user a second (events_per_second)", Rate{Limit: l.EventsPerSecond, Per: time.Second, Burst: 10 * l.EventsPerSecond}),
		Cursors: New("cursor-like events of one session a second (cursors_per_second)", Rate{Limit: l.CursorsPerSecond, Per: time.Second, Burst: 10 * l.CursorsPerSecond}),
		Queue:   New("messages that one user leaves a second (queue_per_second)", Rate{Limit: l.QueuePerSecond, Per: time.Second, Burst: 10 * l.QueuePerSecond}),
		Joins:   New("joins of one user a minute (joins_per_minute)", Rate{Limit: l.JoinsPerMinute, Per: time.Minute}),
	}}
}

// Shared returns the limiters that several nodes share, by names of their own: those of users. A session lives on one node.
func (s *Set) Shared() map[string]*Limiter {
	return map[string]*Limiter{"heavy": s.limiters[Heavy], "events": s.limiters[Events], "queue": s.limiters[Queue], "joins": s.limiters[Joins]}
}

// Take takes n from the bucket that a key has for a kind. Errors are Limiter.Take's.
func (s *Set) Take(k Kind, key string, n int) error {
	if s == nil {
		return nil
	}
	return s.limiters[k].Take(key, n)
}
