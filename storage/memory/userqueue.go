package memory

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// userQueue is one user's messages, with those that were acknowledged in the last minutes in front, for their ids.
type userQueue struct {
	first          uint64 // the offset of messages[0]
	messages       []hub.StoredMessage
	head           uint64
	expired        int
	expiredThrough uint64
	ids            map[senderID]uint64

	epoch  string         // in which it was last written; "" where the store has only one
	before []log.Position // the epochs before, and up to where each is the same
}

type senderID struct{ sender, id string }

// idLife is how long the id of a message is remembered after the message came, even if it is acknowledged.
const idLife = 10 * time.Minute

func newUserQueue() *userQueue { return &userQueue{first: 1, ids: make(map[senderID]uint64)} }

// clone returns a copy that can be changed.
func (u *userQueue) clone() *userQueue {
	c := *u
	c.messages, c.ids = slices.Clone(u.messages), maps.Clone(u.ids)
	return &c
}

func (u *userQueue) tail() uint64 { return u.first + uint64(len(u.messages)) - 1 }

// enqueue adds messages to the queues that user returns, all or none.
func enqueue(user func(name string) *userQueue, messages []hub.StoredMessage, room hub.QueueLimits) ([]uint64, error) {
	if err := checkRoom(user, messages, room); err != nil {
		return nil, err
	}
	offsets := make([]uint64, len(messages))
	for i := range messages {
		offsets[i] = user(messages[i].User).add(messages[i])
	}
	return offsets, nil
}

// checkRoom returns an error where the messages are too many for one of their queues.
func checkRoom(user func(name string) *userQueue, messages []hub.StoredMessage, room hub.QueueLimits) error {
	type load struct {
		messages int
		bytes    int64
	}
	more := make(map[string]load)
	named := make(map[[3]string]bool)
	for i := range messages {
		m := &messages[i]
		u := user(m.User)
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

// page returns a page of what waits behind an offset.
func (u *userQueue) page(after uint64, limit int) hub.QueuePage {
	page := hub.QueuePage{Head: u.head, Tail: u.tail(), Expired: u.expired, ExpiredThrough: u.expiredThrough, Before: u.before}
	size := 0
	for at := max(after, u.head) + 1; at <= page.Tail && len(page.Messages) < limit && size < hub.PageBytes; at++ {
		m := u.messages[at-u.first]
		size += len(m.Payload)
		page.Messages = append(page.Messages, m)
	}
	return page
}

// acknowledge reports whether through is ahead of the queue; then it changes nothing.
func (u *userQueue) acknowledge(through uint64) (ahead bool) {
	if through > u.tail() {
		return true
	}
	u.head = max(u.head, through)
	if through >= u.expiredThrough {
		u.expired, u.expiredThrough = 0, 0
	}
	return false
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

// summaries returns the queues with the most messages waiting, and the figures of all.
func summaries(users iter.Seq2[string, *userQueue], limit int) (list []hub.QueueSummary, all hub.QueueTotals) {
	for name, u := range users {
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
	return list[:min(limit, len(list))], all
}
