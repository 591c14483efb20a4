package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// TopicReader is a subscription: a Reader of a topic's log that also returns the topic's ephemeral events. It belongs
// to one goroutine.
type TopicReader struct {
	log.Reader
	topic *topic
	seen  uint64 // the version of the ephemeral events that the reader has read

	counts *readerCounts // counts its ephemeral events; nil: they are not counted
}

// Subscribe opens a reader of a topic after p; without a position, p is Position{Now: true}. wake is signalled when
// there is more to read. Errors: *FieldError for an invalid name; *LimitError for too many topics; ErrUnavailable if
// the store of several nodes cannot be read; ErrClosed.
func (h *Hub) Subscribe(name string, p log.Position, wake log.Waker) (*TopicReader, *log.Reset, error) {
	for {
		t, err := h.topics.findOrCreate(name)
		if err != nil {
			return nil, nil, err
		}
		if err := t.ensureMirror(); err == errs.ErrClosed && !h.background.isClosing() {
			continue // the topic was dropped meanwhile
		} else if err != nil {
			return nil, nil, err
		}
		if err := t.catchUp(p); err == errs.ErrClosed && !h.background.isClosing() {
			continue
		} else if err != nil {
			return nil, nil, err
		}
		if r, reset := t.subscribe(p, wake); r != nil {
			return r, reset, nil
		}
	}
}

// subscribe opens a reader, or returns nil if the topic was dropped.
func (t *topic) subscribe(p log.Position, wake log.Waker) (*TopicReader, *log.Reset) {
	r := &TopicReader{topic: t}
	observer := t.hub.counts.observer(wake)
	t.Lock()
	defer t.Unlock()
	if t.dropped {
		return nil, nil
	}
	t.trimToLimits(time.Now()) // expired events are not read, even if the janitor has not removed them yet
	r.counts, _ = observer.(*readerCounts)
	return r, t.Open(&r.Reader, p, wake, log.ReaderOptions{Observer: observer, OnClose: t.readerClosed})
}

// Topic returns the topic's name.
func (r *TopicReader) Topic() string { return r.topic.name }

// TopicTail returns the position of the newest event of the topic on this node, which the reader may not have read yet.
func (r *TopicReader) TopicTail() log.Position {
	r.topic.Lock()
	defer r.topic.Unlock()
	return r.topic.Position(r.topic.Tail())
}

// Read is Reader.Read. Behind the log's items it appends the ephemeral events that have changed since the last Read:
// of each sender and name only the newest. The first Read returns all that are current.
func (r *TopicReader) Read(dst []log.Item) ([]log.Item, *log.Reset) {
	dst, reset := r.Reader.Read(dst)
	// No wake-up is lost: the log's read has parked or signalled the reader, so a change after this check signals it.
	if r.topic.ephemeralVersion.Load() == r.seen {
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

// ReadFor names the reader's user: while the reader is open, durable events for that user are not queued. Call it at
// most once, before the first Read.
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

// readerClosed records the use of the topic, so that it does not expire before its reader may come back.
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
