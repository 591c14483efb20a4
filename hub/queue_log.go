package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// queueLoadTimeout is how long somebody waits for the store to be read.
const queueLoadTimeout = 10 * time.Second

// queuePage is how many messages are read at a time.
const queuePageMessages = 200

// queueLog is the queue of a user who is reading it: the log of what the store has. Its offsets are the store's, so
// whatever is in doubt is read again from there: nothing is handed on past it, and nothing can get out of order. It is
// the replica that its mirror keeps.
type queueLog struct {
	log.Log // base is the head
	hub     *Hub
	user    string
	refs    int // readers, and those who are about to be; guarded by queues.mu
	mirror  *mirror.Mirror[struct{}]

	loaded bool // Load's own: it has succeeded

	// Guarded by the log's lock.
	closed         bool
	expired        int // messages that expired, and that nobody has acknowledged since
	expiredThrough uint64
}

// Follow implements mirror.Replica. That something has changed is all that is told of a queue. On one node nothing is:
// who changes the store asks for a refresh.
func (q *queueLog) Follow(_ func(struct{}), gap func()) (stop func()) {
	if store := q.shared(); store != nil {
		return store.FollowQueue(q.user, gap)
	}
	return func() {}
}

// Take implements mirror.Replica.
func (q *queueLog) Take(struct{}, bool) bool { return false }

// Load implements mirror.Replica: it reads the store to its end. What has expired before the first time is not given to
// anybody.
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

// open has the log read for one more reader. Where other nodes have the queue, too, it is read again each time: whoever
// acknowledges on one node and then reads on another is not told of the same messages again. A store that is away is
// waited for by the first reader alone.
func (q *queueLog) open() error {
	if err := q.mirror.Loaded(0); err != nil {
		return q.mirror.Refresh(queueLoadTimeout)
	}
	if q.shared() != nil && q.mirror.Failing() == nil {
		_ = q.mirror.Refresh(queueLoadTimeout)
	}
	return nil
}

// shared returns the store, if other nodes have it, too.
func (q *queueLog) shared() QueueFollower {
	store, _ := q.hub.queues.store.(QueueFollower)
	return store
}

// end returns up to where the store is known, in its epoch.
func (q *queueLog) loadedUpTo(epoch string) uint64 {
	q.Lock()
	defer q.Unlock()
	if q.Epoch() != epoch {
		return 0
	}
	return q.Tail()
}

// close ends the log, when its last reader has gone.
func (q *queueLog) close() {
	q.Lock()
	q.closed = true
	q.Retire()
	q.hub.logBytes.Add(-q.Size())
	q.Unlock()
	q.mirror.Close()
}

// take brings the log to a page of the store, and reports whether that was the last one. Where the store's offsets have
// begun anew, the log does so, too.
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
		q.SkipTo(m.Offset - 1) // the head, as it was a moment later
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

// trimTo drops the messages up to the offset. q.mu is held.
func (q *queueLog) trimTo(head uint64) {
	q.Trim(func(ev *log.Event) bool { return ev.Offset <= head })
	q.SkipTo(head)
}

// acknowledged drops what nobody needs any longer.
func (q *queueLog) acknowledged(through uint64) {
	q.Lock()
	defer q.Unlock()
	before := q.Size()
	q.trimTo(min(through, q.Tail())) // what is beyond it is on its way, and will be found gone
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
