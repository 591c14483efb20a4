package memory

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Queue is a hub.QueueStore in memory: it outlives a hub, not the process. Make it with NewQueue. Safe for concurrent use.
type Queue struct {
	epoch string

	mu    sync.Mutex
	users map[string]*userQueue
}

// userQueue is one user's messages, with those that were acknowledged in the last minutes in front, for their ids.
type userQueue struct {
	first          uint64 // the offset of messages[0]
	messages       []hub.StoredMessage
	head           uint64
	expired        int
	expiredThrough uint64
	ids            map[senderID]uint64
}

type senderID struct{ sender, id string }

// idLife is how long the id of a message is remembered after the message came, even if it is acknowledged.
const idLife = 10 * time.Minute

// NewQueue returns an empty store.
func NewQueue() *Queue {
	return &Queue{epoch: strconv.FormatInt(time.Now().UnixNano(), 36), users: make(map[string]*userQueue)}
}

func (u *userQueue) tail() uint64 { return u.first + uint64(len(u.messages)) - 1 }

// QueueEpoch implements hub.QueueStore.
func (q *Queue) QueueEpoch() string { return q.epoch }

// Enqueue implements hub.QueueStore.
func (q *Queue) Enqueue(messages []hub.StoredMessage, room hub.QueueRoom) ([]uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.check(messages, room); err != nil {
		return nil, err
	}
	offsets := make([]uint64, len(messages))
	for i := range messages {
		offsets[i] = q.user(messages[i].User).add(messages[i])
	}
	return offsets, nil
}

// check returns an error where the messages are too many for one of their queues.
func (q *Queue) check(messages []hub.StoredMessage, room hub.QueueRoom) error {
	type load struct {
		messages int
		bytes    int64
	}
	more := make(map[string]load)
	named := make(map[[3]string]bool)
	for i := range messages {
		m := &messages[i]
		u := q.user(m.User)
		u.sweep(m.QueuedAt.Add(-idLife))
		key := [3]string{m.User, m.Sender, m.ID}
		if m.Named {
			if _, known := u.ids[senderID{m.Sender, m.ID}]; known || named[key] {
				continue
			}
			named[key] = true
		}
		l := more[m.User]
		l.messages++
		l.bytes += int64(len(m.Payload))
		more[m.User] = l
		full := func() error { return hub.QueueFull(m.User, int(u.tail()-u.head)+l.messages, u.waiting()+l.bytes, room) }
		if err := full(); err != nil {
			u.expire(m.QueuedAt, len(u.messages)) // what is over makes room
			if err := full(); err != nil {
				return err
			}
		}
	}
	return nil
}

// waiting returns how many bytes of payload wait.
func (u *userQueue) waiting() (n int64) {
	for at := u.head + 1; at <= u.tail(); at++ {
		n += int64(len(u.messages[at-u.first].Payload))
	}
	return n
}

// add appends a message, or finds the one of its id.
func (u *userQueue) add(m hub.StoredMessage) uint64 {
	key := senderID{m.Sender, m.ID}
	if m.Named {
		if offset, known := u.ids[key]; known {
			return offset
		}
	}
	if n := len(u.messages); u.tail() > u.head && u.messages[n-1].ExpiresAt.After(m.ExpiresAt) {
		m.ExpiresAt = u.messages[n-1].ExpiresAt
	}
	m.Offset = u.tail() + 1
	m.Payload = slices.Clone(m.Payload)
	u.messages = append(u.messages, m)
	if m.Named {
		u.ids[key] = m.Offset
	}
	return m.Offset
}

// sweep drops what is neither waiting nor of the time after before.
func (u *userQueue) sweep(before time.Time) {
	for len(u.messages) > 0 && u.first <= u.head && u.messages[0].QueuedAt.Before(before) {
		if m := &u.messages[0]; m.Named {
			delete(u.ids, senderID{m.Sender, m.ID})
		}
		u.messages = u.messages[1:]
		u.first++
	}
}

// Messages implements hub.QueueStore.
func (q *Queue) Messages(user string, after uint64, limit int) (hub.QueuePage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.users[user]
	if u == nil {
		return hub.QueuePage{}, nil
	}
	page := hub.QueuePage{Head: u.head, Tail: u.tail(), Expired: u.expired, ExpiredThrough: u.expiredThrough}
	size := 0
	for at := max(after, u.head) + 1; at <= page.Tail && len(page.Messages) < limit && size < hub.PageBytes; at++ {
		m := u.messages[at-u.first]
		size += len(m.Payload)
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

// AckMessages implements hub.QueueStore.
func (q *Queue) AckMessages(user string, through uint64) (ahead bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.user(user)
	if through > u.tail() {
		return true, nil
	}
	u.head = max(u.head, through)
	if through >= u.expiredThrough {
		u.expired, u.expiredThrough = 0, 0
	}
	return false, nil
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
		u := q.users[name]
		n += u.expire(now, limit-n)
		u.sweep(now.Add(-idLife))
	}
	return n, nil
}

// QueueSummaries implements hub.QueueStore.
func (q *Queue) QueueSummaries(limit int) (list []hub.QueueSummary, all hub.QueueTotals, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, u := range q.users {
		if u.head == u.tail() {
			continue
		}
		one := hub.QueueSummary{User: name, Messages: int(u.tail() - u.head), Bytes: u.waiting(), Oldest: u.messages[u.head+1-u.first].QueuedAt}
		list = append(list, one)
		all.Users++
		all.Messages += one.Messages
		all.Bytes += one.Bytes
		if all.Oldest.IsZero() || one.Oldest.Before(all.Oldest) {
			all.Oldest = one.Oldest
		}
	}
	slices.SortFunc(list, func(a, b hub.QueueSummary) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.User, b.User))
	})
	return list[:min(limit, len(list))], all, nil
}

func (u *userQueue) expire(now time.Time, limit int) (n int) {
	for u.head < u.tail() && n < limit && !u.messages[u.head+1-u.first].ExpiresAt.After(now) {
		u.head++
		n++
		u.expired++
		u.expiredThrough = u.head
	}
	return n
}

// user returns a user's queue. q.mu is held.
func (q *Queue) user(name string) *userQueue {
	u := q.users[name]
	if u == nil {
		u = &userQueue{first: 1, ids: make(map[senderID]uint64)}
		q.users[name] = u
	}
	return u
}

// Clone returns a copy of the store as it is now: what a crash at this moment would leave.
func (q *Queue) Clone() *Queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &Queue{epoch: q.epoch, users: make(map[string]*userQueue, len(q.users))}
	for name, u := range q.users {
		copied := *u
		copied.messages, copied.ids = slices.Clone(u.messages), maps.Clone(u.ids)
		c.users[name] = &copied
	}
	return c
}
