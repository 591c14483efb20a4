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
	r.counts.addEphemeral(len(dst) - had)
	return dst, reset
}

// subscribe opens a reader, or returns nil where the topic is gone.
func (t *topic) subscribe(p log.Position, wake log.Waker) (*TopicReader, *log.Reset) {
	r := &TopicReader{topic: t}
	observer := t.hub.counts.observer(wake)
	t.Lock()
	defer t.Unlock()
	if t.dropped {
		return nil, nil
	}
	t.trimToLimits(time.Now()) // what is too old was lost the moment it was
	r.counts, _ = observer.(*readerCounts)
	return r, t.Open(&r.Reader, p, wake, log.ReaderOptions{Observer: observer, OnClose: t.readerClosed})
}

// ReadFor says whose reader it is, until it is closed: durable events for that user need not go to the queue meanwhile.
// It is called once, at first.
func (r *TopicReader) ReadFor(user string) {
	t := r.topic
	t.Lock()
	defer t.Unlock()
	if t.readersByUser == nil {
		t.readersByUser = make(map[string]int)
	}
	t.readersByUser[user]++
	r.SetOnClose(func() { t.userReaderClosed(user) })
}

// left notes that a reader has gone, so that the topic is kept for its return.
func (t *topic) readerClosed() {
	t.Lock()
	t.lastUsed = time.Now()
	t.Unlock()
}

func (t *topic) userReaderClosed(user string) {
	t.Lock()
	if t.readersByUser[user]--; t.readersByUser[user] == 0 {
		delete(t.readersByUser, user)
	}
	t.Unlock()
	t.readerClosed()
}
