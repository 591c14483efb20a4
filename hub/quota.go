package hub

import (
	"maps"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// quota bounds how many of something, such as unfinished streams, a user and an API key have at one time, on all nodes
// together. Its counts are guarded by the mutex of what has it.
type quota struct{ users, keys tally }

// tally is the part of a quota that counts users, or API keys.
type tally struct {
	usage  string // the name under which nodes report it to each other
	name   string // in errors: what is limited and, in brackets, the setting
	limit  int
	counts map[string]int // on this node
}

// holder is who has something: a user, or the API key that made it for itself (owner is key), or both, where a key acts
// for a user.
type holder struct{ owner, key string }

// user returns the user whose limit counts, or "".
func (h holder) user() string {
	if h.owner == h.key {
		return ""
	}
	return h.owner
}

// remoteUsage is what a holder has on other nodes.
type remoteUsage struct{ user, key int }

// elsewhere returns what a holder has on other nodes. It takes a lock, so it is called before that of the counts is.
func (q *quota) elsewhere(c *Cluster, by holder) remoteUsage {
	return remoteUsage{c.RemoteUsage(q.users.usage, by.user()), c.RemoteUsage(q.keys.usage, by.key)}
}

// check returns a *LimitError if the holder may not have one more.
func (q *quota) check(by holder, elsewhere remoteUsage) error {
	if err := q.users.check(by.user(), elsewhere.user); err != nil {
		return err
	}
	return q.keys.check(by.key, elsewhere.key)
}

func (t *tally) check(who string, elsewhere int) error {
	if who == "" || t.counts[who]+elsewhere < t.limit {
		return nil
	}
	return &errs.LimitError{Kind: errs.ErrLimited, Name: t.name, Limit: int64(t.limit), Retry: 5 * time.Second}
}

// enter counts one more, and leave one less.
func (q *quota) enter(by holder) { q.users.add(by.user(), 1); q.keys.add(by.key, 1) }
func (q *quota) leave(by holder) { q.users.add(by.user(), -1); q.keys.add(by.key, -1) }

func (t *tally) add(who string, n int) {
	if who == "" {
		return
	}
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	if t.counts[who] += n; t.counts[who] <= 0 {
		delete(t.counts, who)
	}
}

// share has the counts added up over all nodes. guard is called with a function that reads them.
func (q *quota) share(c *Cluster, guard func(read func())) {
	for _, t := range []*tally{&q.users, &q.keys} {
		c.ShareUsage(t.usage, t.limit, func(yield func(string, int) bool) {
			guard(func() { maps.All(t.counts)(yield) })
		})
	}
}

func (s *Stream) holder() holder { return holder{s.Owner, s.Key} }
