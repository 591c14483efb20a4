package memory

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Queue is a hub.QueueStore in memory, created by NewQueue. It is safe for concurrent use.
type Queue struct {
	epoch string

	mu    sync.Mutex
	users map[string]*userQueue
}

// NewQueue returns an empty store.
func NewQueue() *Queue {
	return &Queue{epoch: strconv.FormatInt(time.Now().UnixNano(), 36), users: make(map[string]*userQueue)}
}

// QueueEpoch implements hub.QueueStore.
func (q *Queue) QueueEpoch() string { return q.epoch }

// Enqueue implements hub.QueueStore.
func (q *Queue) Enqueue(messages []hub.StoredMessage, limits hub.QueueLimits) ([]uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return enqueue(q.user, messages, limits)
}

// Messages implements hub.QueueStore.
func (q *Queue) Messages(user string, after uint64, limit int) (hub.QueuePage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.users[user]
	if u == nil {
		return hub.QueuePage{}, nil
	}
	return u.page(after, limit), nil
}

// AckMessages implements hub.QueueStore.
func (q *Queue) AckMessages(user string, through uint64) (ahead bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.user(user).acknowledge(through), nil
}

// ExpireMessages implements hub.QueueStore.
func (q *Queue) ExpireMessages(user string, now time.Time, limit int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if user != "" {
		return q.user(user).expire(now, limit), nil
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(q.users)) {
		n += q.users[name].expire(now, limit-n)
		q.users[name].sweep(now.Add(-idTTL))
	}
	return n, nil
}

// QueueSummaries implements hub.QueueStore.
func (q *Queue) QueueSummaries(limit int) (list []hub.QueueSummary, all hub.QueueTotals, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, all = summaries(maps.All(q.users), limit)
	return list, all, nil
}

// user returns a user's queue, which it creates if there is none. The caller holds q.mu.
func (q *Queue) user(name string) *userQueue {
	u := q.users[name]
	if u == nil {
		u = newUserQueue()
		q.users[name] = u
	}
	return u
}

// Clone returns a copy of the store, for tests that resume from the state at this moment.
func (q *Queue) Clone() *Queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &Queue{epoch: q.epoch, users: make(map[string]*userQueue, len(q.users))}
	for name, u := range q.users {
		c.users[name] = u.clone()
	}
	return c
}
