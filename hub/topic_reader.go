package hub

import (
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// topicVersion is the version of a topic's ephemeral table, to be looked at without the lock.
type topicVersion struct{ v atomic.Uint64 }

func (t *topicVersion) set(v uint64) { t.v.Store(v) }

// TopicReader is a subscription: a Reader of a topic's log that sees its ephemeral events too. It belongs to one
// goroutine.
type TopicReader struct {
	log.Reader
	topic *topic
	seen  uint64 // the version of the ephemeral table that was read

	counts *readerCounts // where its ephemeral events are counted; nil: nowhere
}

// Topic returns the topic's name.
func (r *TopicReader) Topic() string { return r.topic.name }

// Read is Reader.Read, with the ephemeral events that changed since the last Read behind the log's items: of each
// sender and name only the newest, and at the first Read all that are current.
func (r *TopicReader) Read(dst []log.Item) ([]log.Item, *log.Reset) {
	dst, reset := r.Reader.Read(dst)
	// The log's read has parked the reader, or has woken it, so a change after this look will wake it.
	if r.topic.watch.v.Load() == r.seen {
		return dst, reset
	}
	r.topic.Lock()
	had := len(dst)
	dst = r.topic.eph.since(r.seen, dst)
	r.seen = r.topic.eph.version
	r.topic.Unlock()
	r.counts.latest(len(dst) - had)
	return dst, reset
}

// subscribe opens a reader, or returns nil where the topic is gone.
func (t *topic) subscribe(p log.Position, wake log.Waker) (*TopicReader, *log.Reset) {
	r := &TopicReader{topic: t}
	observer := t.hub.counts.observer(wake)
	t.Lock()
	defer t.Unlock()
	if t.gone {
		return nil, nil
	}
	t.trimOver(time.Now()) // what is too old was lost the moment it was
	r.counts, _ = observer.(*readerCounts)
	return r, t.Open(&r.Reader, p, wake, log.ReaderOptions{Observer: observer, OnClose: t.left})
}

// ReadFor says whose reader it is, until it is closed: durable events for that user need not go to the queue meanwhile.
// It is called once, at first.
func (r *TopicReader) ReadFor(user string) {
	t := r.topic
	t.Lock()
	defer t.Unlock()
	if t.users == nil {
		t.users = make(map[string]int)
	}
	t.users[user]++
	r.SetOnClose(func() { t.leftBy(user) })
}

// left notes that a reader has gone, so that the topic is kept for its return.
func (t *topic) left() {
	t.Lock()
	t.used = time.Now()
	t.Unlock()
}

func (t *topic) leftBy(user string) {
	t.Lock()
	if t.users[user]--; t.users[user] == 0 {
		delete(t.users, user)
	}
	t.Unlock()
	t.left()
}
