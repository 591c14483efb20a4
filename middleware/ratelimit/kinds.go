package ratelimit

import (
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

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

// By says whose buckets an operation takes from: those of a user, of an API key, or of both, where a key acts for a
// user. Keys have limits of their own, since each works for many users.
type By struct {
	User string // or the session, for Cursors; "": none
	Key  string // "": none
}

// Of returns whose buckets an identity's operations take from.
func Of(id *rights.Identity) By {
	if id.Service {
		return By{Key: id.Key()}
	}
	return By{User: id.User, Key: id.Key()}
}

// Limits configure the rate of each kind. They apply per user, except that cursors are counted per session; those that
// begin with Key apply per API key. Zero means the default, a negative value no limit.
type Limits struct {
	HeavyPerMinute    int // (100)
	EventsPerSecond   int // (1,000)
	CursorsPerSecond  int // (60)
	QueuePerSecond    int // (1,000)
	JoinsPerMinute    int // (6,000)
	FailuresPerMinute int // per address (10); see auth.Failures

	KeyHeavyPerMinute int // (6,000)
	KeyFactor         int // how many times a user's other limits a key has (10); where a user has none, a key has none
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
	def(&l.KeyHeavyPerMinute, 6000)
	def(&l.KeyFactor, 10)
	return l
}

// Set has a Limiter for each kind, of users and of API keys. A nil Set limits nothing.
type Set struct{ users, keys [kinds]*Limiter }

// NewSet returns the limiters of l. The burst is a minute's worth for limits per minute and ten seconds' worth for
// limits per second, since a client that opens a page or reconnects does many things at once. The defaults for cheap
// operations are high enough for a program that publishes for many people as one user.
func NewSet(l Limits) *Set {
	l = l.WithDefaults()
	return &Set{users: l.ofUsers(), keys: l.ofKeys()}
}

func (l *Limits) ofUsers() [kinds]*Limiter {
	return [kinds]*Limiter{
		Heavy: New("completions, analyses and messages to a model of one user a minute (heavy_per_minute)",
			Rate{Limit: l.HeavyPerMinute, Per: time.Minute}),
		Events:  perSecond("events of one user a second (events_per_second)", l.EventsPerSecond),
		Cursors: perSecond("cursor-like events of one session a second (cursors_per_second)", l.CursorsPerSecond),
		Queue:   perSecond("messages that one user leaves a second (queue_per_second)", l.QueuePerSecond),
		Joins:   New("joins of one user a minute (joins_per_minute)", Rate{Limit: l.JoinsPerMinute, Per: time.Minute}),
	}
}

func (l *Limits) ofKeys() [kinds]*Limiter {
	return [kinds]*Limiter{
		Heavy: New("completions, analyses and messages to a model of one API key a minute (key_heavy_per_minute)",
			Rate{Limit: l.KeyHeavyPerMinute, Per: time.Minute}),
		Events: perSecond("events of one API key a second (key_factor)", l.ofKey(l.EventsPerSecond)),
		Cursors: perSecond("cursor-like events of one API key's requests a second (key_factor)",
			l.ofKey(l.CursorsPerSecond)),
		Queue: perSecond("messages that one API key leaves a second (key_factor)", l.ofKey(l.QueuePerSecond)),
		Joins: New("joins of one API key a minute (key_factor)",
			Rate{Limit: l.ofKey(l.JoinsPerMinute), Per: time.Minute}),
	}
}

// ofKey returns a key's limit for a user's: none if the user has none, or KeyFactor is negative.
func (l *Limits) ofKey(user int) int {
	if user < 0 || l.KeyFactor < 0 {
		return -1
	}
	return user * l.KeyFactor
}

// perSecond returns the limiter of a limit per second.
func perSecond(what string, limit int) *Limiter {
	return New(what, Rate{Limit: limit, Per: time.Second, Burst: 10 * limit})
}

// Shared returns the limiters that nodes share, by name: those that count per user or per API key. A session is on one
// node, so the limiter of its cursors is not shared.
func (s *Set) Shared() map[string]*Limiter {
	return map[string]*Limiter{
		"heavy": s.users[Heavy], "events": s.users[Events], "queue": s.users[Queue], "joins": s.users[Joins],
		"key_heavy": s.keys[Heavy], "key_events": s.keys[Events], "key_cursors": s.keys[Cursors],
		"key_queue": s.keys[Queue], "key_joins": s.keys[Joins],
	}
}

// Take takes n tokens from the buckets for a kind, or none. It returns the errors of Limiter.Take. The user's bucket
// comes first: what is refused there must cost the key nothing, or one user could use up the share of all others.
func (s *Set) Take(k Kind, by By, n int) error {
	if s == nil {
		return nil
	}
	if by.User != "" {
		if err := s.users[k].Take(by.User, n); err != nil {
			return err
		}
	}
	if by.Key == "" {
		return nil
	}
	err := s.keys[k].Take(by.Key, n)
	if err != nil && by.User != "" {
		s.users[k].giveBack(by.User, n)
	}
	return err
}
