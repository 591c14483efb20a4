package hub

import (
	"sync"
	"sync/atomic"
	"time"
)

// queueLog is the queue of a user who is reading it: the log of what the store has. Its offsets are the store's, so whatever is in doubt is
// read again from there: nothing is handed on past it, and nothing can get out of order.
type queueLog struct {
	log   // base is the head
	hub   *Hub
	user  string
	users int // readers, and those who are about to be; guarded by queues.mu

	reading sync.Mutex // held while it reads the store
	loaded  bool       // guarded by reading

	pending atomic.Bool // a look at the store is about to begin

	// Guarded by log.mu.
	over           bool
	stop           func() // ends the following; nil where the store is this node's alone
	failed         bool   // the last look at the store did not succeed
	expired        int    // messages that expired, and that nobody has acknowledged since
	expiredThrough uint64
}

// load reads the store for the first reader. What has expired is not given to anybody. For a later one it is read again where other nodes have
// it, too: whoever acknowledges on one node and then reads on another is not told of the same messages again.
func (q *queueLog) load() error {
	q.reading.Lock()
	defer q.reading.Unlock()
	if q.loaded {
		if q.shared() != nil && !q.isFailed() { // one that is away is not waited for again
			_ = q.renew()
		}
		return nil
	}
	if _, err := q.hub.queues.store.ExpireMessages(q.user, q.hub.expiryTime(), q.hub.limits.QueueMax); err != nil {
		return err
	}
	if err := q.catchUp(); err != nil {
		return err
	}
	q.loaded = true
	return nil
}

// refresh reads what is new in the store.
func (q *queueLog) refresh() error {
	q.reading.Lock()
	defer q.reading.Unlock()
	if !q.loaded {
		return nil // who loads it does it
	}
	return q.renew()
}

// renew reads what is new, and notes whether that went well. q.reading is held.
func (q *queueLog) renew() error {
	err := q.catchUp()
	q.mu.Lock()
	q.failed = err != nil
	q.mu.Unlock()
	return err
}

// queuePage is how many messages are read at a time.
const queuePage = 200

// catchUp reads the store to its end. q.reading is held.
func (q *queueLog) catchUp() error {
	for {
		epoch := q.hub.queues.epoch()
		page, err := q.hub.queues.store.Messages(q.user, q.end(epoch), queuePage)
		if err != nil {
			return err
		}
		if epoch == q.hub.queues.epoch() && q.take(&page, epoch) {
			return nil
		}
	}
}

// end returns up to where the store is known, in its epoch.
func (q *queueLog) end(epoch string) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.epoch != epoch {
		return 0
	}
	return q.tail()
}

// shared returns the store, if other nodes have it, too.
func (q *queueLog) shared() QueueFollower {
	store, _ := q.hub.queues.store.(QueueFollower)
	return store
}

// follow has other nodes' changes looked at.
func (q *queueLog) follow() {
	store := q.shared()
	if store == nil {
		return
	}
	stop := store.FollowQueue(q.user, func() {
		if !q.pending.Swap(true) && !q.hub.goes(q.look) {
			q.pending.Store(false)
		}
	})
	q.mu.Lock()
	over := q.over
	q.stop = stop
	q.mu.Unlock()
	if over {
		stop()
	}
}

// look refreshes the log, again and again until that succeeds or nobody reads it any longer.
func (q *queueLog) look() {
	for failures := 1; ; failures++ {
		q.pending.Store(false)
		if q.refresh() == nil || q.isOver() || !q.hub.PauseAfter(failures) {
			return
		}
		if q.pending.Swap(true) {
			return // another has begun
		}
	}
}

func (q *queueLog) isOver() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.over
}

// close ends the log, when its last reader has gone.
func (q *queueLog) close() {
	q.mu.Lock()
	q.over = true
	stop := q.stop
	q.retire()
	q.hub.logBytes.Add(-q.bytes)
	q.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// take brings the log to a page of the store, and reports whether that was the last one. Where the store's offsets have begun anew, the log does so, too.
func (q *queueLog) take(page *QueuePage, epoch string) (last bool) {
	q.mu.Lock()
	if q.over {
		q.mu.Unlock()
		return true
	}
	before := q.bytes
	if q.epoch != epoch {
		q.begin(epoch, nil, page.Head)
		q.expired, q.expiredThrough = 0, 0
	}
	q.before = livesOf(page)
	q.trimTo(page.Head)
	changed := page.ExpiredThrough > q.expiredThrough
	q.expired, q.expiredThrough = page.Expired, page.ExpiredThrough
	for i := range page.Messages {
		m := &page.Messages[i]
		if len(q.entries) == 0 {
			q.base = m.Offset - 1 // the head, as it was a moment later
		}
		q.appendEvent(&Event{Kind: QueueEvent, Name: m.Event, Data: m.AppendJSON(nil, q.epoch), Time: m.ExpiresAt})
		changed = true
	}
	q.hub.logBytes.Add(q.bytes - before)
	last = len(page.Messages) == 0 || q.tail() >= page.Tail
	if changed {
		q.unlockAndWake()
	} else {
		q.mu.Unlock()
	}
	return last
}

// trimTo drops the messages up to the offset. q.mu is held.
func (q *queueLog) trimTo(head uint64) {
	q.trim(func(ev *Event) bool { return ev.Offset <= head })
	if len(q.entries) == 0 {
		q.base = max(q.base, head)
	}
}

// acknowledged drops what nobody needs any longer.
func (q *queueLog) acknowledged(through uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.bytes
	q.trimTo(min(through, q.tail())) // what is beyond it is on its way, and will be found gone
	if through >= q.expiredThrough {
		q.expired, q.expiredThrough = 0, 0
	}
	q.hub.logBytes.Add(q.bytes - before)
}

func (q *queueLog) isFailed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// isStale reports whether the store has something else: a look failed, or the oldest message has expired.
func (q *queueLog) isStale(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed || len(q.entries) > 0 && !q.entries[0].event.Time.After(now)
}
