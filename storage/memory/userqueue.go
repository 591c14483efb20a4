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

// userQueue is one user's queue. Messages that were acknowledged in the last minutes stay at its front, so that their
// ids are still recognized.
type userQueue struct {
	first          uint64 // the offset of messages[0]
	messages       []hub.StoredMessage
	head           uint64 // the messages up to this offset are acknowledged or expired
	expired        int
	expiredThrough uint64
	ids            map[senderID]uint64

	epoch  string         // in which it was last written; "": the store has only one epoch
	before []log.Position // the earlier epochs, and up to which offset the queue equals each
}

type senderID struct{ sender, id string }

// idTTL is how long the id of a message is remembered after it was enqueued, even if it is acknowledged.
const idTTL = 10 * time.Minute

func newUserQueue() *userQueue { return &userQueue{first: 1, ids: make(map[senderID]uint64)} }

// clone returns a copy that can be changed.
func (u *userQueue) clone() *userQueue {
	c := *u
	c.messages, c.ids = slices.Clone(u.messages), maps.Clone(u.ids)
	return &c
}

func (u *userQueue) tail() uint64 { return u.first + uint64(len(u.messages)) - 1 }

// enqueue adds messages to the queues that user returns, all or none.
func enqueue(
	user func(name string) *userQueue, messages []hub.StoredMessage, limits hub.QueueLimits,
) ([]uint64, error) {
	if err := check(user, messages, limits); err != nil {
		return nil, err
	}
	offsets := make([]uint64, len(messages))
	for i := range messages {
		offsets[i] = user(messages[i].User).add(messages[i])
	}
	return offsets, nil
}

// check returns an error if one of the queues would exceed its limits with the messages, or if one of the messages has
// the id of another.
func check(user func(name string) *userQueue, messages []hub.StoredMessage, limits hub.QueueLimits) error {
	type addition struct {
		messages int
		bytes    int64
	}
	additions := make(map[string]addition)
	named := make(map[[3]string]bool)
	for i := range messages {
		m := &messages[i]
		u := user(m.User)
		u.sweep(m.QueuedAt.Add(-idTTL))
		key := [3]string{m.User, m.Sender, m.ID}
		if m.Named {
			offset, exists := u.ids[senderID{m.Sender, m.ID}]
			if exists && u.messages[offset-u.first].Digest() != m.Digest() {
				return &hub.IDConflictError{Index: i}
			}
			if exists || named[key] {
				continue
			}
			named[key] = true
		}
		a := additions[m.User]
		a.messages++
		a.bytes += int64(len(m.Payload))
		additions[m.User] = a
		full := func() error {
			return hub.QueueFull(m.User, int(u.tail()-u.head)+a.messages, u.waitingBytes()+a.bytes, limits)
		}
		if err := full(); err != nil {
			u.expire(m.QueuedAt, len(u.messages)) // expired messages do not count
			if err := full(); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitingBytes returns how many bytes of payload the waiting messages have.
func (u *userQueue) waitingBytes() (n int64) {
	for at := u.head + 1; at <= u.tail(); at++ {
		n += int64(len(u.messages[at-u.first].Payload))
	}
	return n
}

// add appends a message, unless there is one with its id, and returns the offset.
func (u *userQueue) add(m hub.StoredMessage) uint64 {
	key := senderID{m.Sender, m.ID}
	if m.Named {
		if offset, exists := u.ids[key]; exists {
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

// sweep drops the messages that do not wait and were queued before the given time.
func (u *userQueue) sweep(before time.Time) {
	for len(u.messages) > 0 && u.first <= u.head && u.messages[0].QueuedAt.Before(before) {
		if m := &u.messages[0]; m.Named {
			delete(u.ids, senderID{m.Sender, m.ID})
		}
		u.messages = u.messages[1:]
		u.first++
	}
}

// page returns a page of the waiting messages after an offset.
func (u *userQueue) page(after uint64, limit int) hub.QueuePage {
	page := hub.QueuePage{
		Head: u.head, Tail: u.tail(), Expired: u.expired, ExpiredThrough: u.expiredThrough, Before: u.before,
	}
	size := 0
	for at := max(after, u.head) + 1; at <= page.Tail && len(page.Messages) < limit && size < hub.PageBytes; at++ {
		m := u.messages[at-u.first]
		size += len(m.Payload)
		page.Messages = append(page.Messages, m)
	}
	return page
}

// acknowledge acknowledges the messages through an offset. If that is beyond the tail, it changes nothing and returns
// true.
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

// summaries returns the queues with the most waiting messages, and the totals of all queues.
func summaries(users iter.Seq2[string, *userQueue], limit int) (list []hub.QueueSummary, all hub.QueueTotals) {
	for name, u := range users {
		if u.head == u.tail() {
			continue
		}
		one := hub.QueueSummary{
			User: name, Messages: int(u.tail() - u.head), Bytes: u.waitingBytes(),
			Oldest: u.messages[u.head+1-u.first].QueuedAt,
		}
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
