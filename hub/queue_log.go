package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// queueLoadTimeout is how long a caller waits for the store to be read.
const queueLoadTimeout = 10 * time.Second

// queuePageMessages is how many messages are read from the store at a time.
const queuePageMessages = 200

// queueLog is the queue of a user who reads it on this node: a replica of what the store has, with the store's offsets.
// It is the Replica of its mirror. It never has messages behind a gap, since it reads the store again from its own end
// whenever anything may have changed.
type queueLog struct {
	log.Log // its base is the queue's head
	hub     *Hub
	user    string
	refs    int // readers, and callers that open one; guarded by queues.mu
	mirror  *mirror.Mirror[struct{}]

	loaded bool // Load has succeeded once; only Load uses it

	// Guarded by the log's lock.
	closed         bool   // its last reader is closed
	expired        int    // messages that expired and that were not acknowledged since
	expiredThrough uint64 // the offset of the last of them
}

// Follow implements mirror.Replica. The store reports only that a queue has changed. On a single node it reports
// nothing: whoever changes the store refreshes the mirror.
func (q *queueLog) Follow(_ func(struct{}), gap func()) (stop func()) {
	if store := q.shared(); store != nil {
		return store.FollowQueue(q.user, gap)
	}
	return func() {}
}

// Take implements mirror.Replica.
func (q *queueLog) Take(struct{}, bool) bool { return false }

// Load implements mirror.Replica: it reads the store to its end. The first load expires messages before, so that no
// reader gets one that has expired.
func (q *queueLog) Load() error {
	store := q.hub.queues.store
	if !q.loaded {
		if _, err := store.ExpireMessages(q.user, q.hub.queues.expiryTime(), q.hub.limits.QueueMax); err != nil {
			return err
		}
	}
	for {
		epoch := q.hub.queues.epoch()
		page, err := store.Messages(q.user, q.loadedUpTo(epoch), queuePageMessages)
		if err != nil {
			return err
		}
		if epoch == q.hub.queues.epoch() && q.applyPage(&page, epoch) {
			q.loaded = true
			return nil
		}
	}
}

// open waits until the queue was loaded, for a new reader. If other nodes share the queue, the store is read for each
// new reader: a client that acknowledges on one node and then reads on another must not get the same messages again. If
// the store cannot be reached, only the first reader waits for it.
func (q *queueLog) open() error {
	if err := q.mirror.Loaded(0); err != nil {
		return q.mirror.Refresh(queueLoadTimeout)
	}
	if q.shared() != nil && q.mirror.Failing() == nil {
		_ = q.mirror.Refresh(queueLoadTimeout)
	}
	return nil
}

// shared returns the store if other nodes share it, otherwise nil.
func (q *queueLog) shared() QueueFollower {
	store, _ := q.hub.queues.store.(QueueFollower)
	return store
}

// loadedUpTo returns the offset, in an epoch, up to which the store has been read.
func (q *queueLog) loadedUpTo(epoch string) uint64 {
	q.Lock()
	defer q.Unlock()
	if q.Epoch() != epoch {
		return 0
	}
	return q.Tail()
}

// close ends the log after its last reader has been closed.
func (q *queueLog) close() {
	q.Lock()
	q.closed = true
	q.Retire()
	q.hub.logBytes.Add(-q.Size())
	q.Unlock()
	q.mirror.Close()
}

// applyPage brings the log to a page of the store, and reports whether that was the last page. If the store's epoch is
// another one, the log begins anew.
func (q *queueLog) applyPage(page *QueuePage, epoch string) (last bool) {
	q.Lock()
	if q.closed {
		q.Unlock()
		return true
	}
	before := q.Size()
	if q.Epoch() != epoch {
		q.Begin(epoch, nil, page.Head)
		q.expired, q.expiredThrough = 0, 0
	}
	q.SetBefore(earlierEpochs(page))
	q.trimTo(page.Head)
	changed := page.ExpiredThrough > q.expiredThrough
	q.expired, q.expiredThrough = page.Expired, page.ExpiredThrough
	for i := range page.Messages {
		m := &page.Messages[i]
		q.SkipTo(m.Offset - 1) // the head may have moved between the read of page.Head and that of the messages
		q.Append(&log.Event{Kind: log.QueueEvent, Name: m.Event, Data: m.AppendJSON(nil, q.Epoch()), Time: m.ExpiresAt})
		changed = true
	}
	q.hub.logBytes.Add(q.Size() - before)
	last = len(page.Messages) == 0 || q.Tail() >= page.Tail
	if changed {
		q.UnlockAndWake()
	} else {
		q.Unlock()
	}
	return last
}

// trimTo drops the messages up to an offset. q is locked.
func (q *queueLog) trimTo(head uint64) {
	q.Trim(func(ev *log.Event) bool { return ev.Offset <= head })
	q.SkipTo(head)
}

// acknowledged drops the messages up to an offset, after they were acknowledged in the store.
func (q *queueLog) acknowledged(through uint64) {
	q.Lock()
	defer q.Unlock()
	before := q.Size()
	q.trimTo(min(through, q.Tail())) // later messages are not loaded yet; the next load will not find them
	if through >= q.expiredThrough {
		q.expired, q.expiredThrough = 0, 0
	}
	q.hub.logBytes.Add(q.Size() - before)
}

// hasExpired reports whether the oldest message has expired.
func (q *queueLog) hasExpired(now time.Time) bool {
	q.Lock()
	defer q.Unlock()
	oldest := q.First()
	return oldest != nil && !oldest.Time.After(now)
}
