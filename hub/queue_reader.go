package hub

import (
	"strconv"

	"github.com/duckwire/duckwire/hub/log"
)

// QueueReader is one session's reading place in a user's queue. Reading is not acknowledging: every session of the user
// gets every message that nobody has acknowledged before its turn. It belongs to one goroutine.
type QueueReader struct {
	log.Reader
	queue       *queueLog
	toldExpired uint64 // up to where it was told what expired
}

// Expired says that messages were not read in time: how many since the last acknowledgement, and up to where.
// Acknowledging that position says that it is known.
type Expired struct {
	Count   int
	Through log.Position
}

// ExpiredEvent is the name under which readers are told of it.
const ExpiredEvent = "messages_expired"

// AppendJSON appends it as clients see it.
func (e *Expired) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"expired":`...), int64(e.Count), 10)
	dst = e.Through.Append(append(dst, `,"through":"`...))
	return append(dst, `"}`...)
}

// openReader opens a reader after p; with a Reset, where p cannot be gone on from, of all messages.
func (q *queueLog) openReader(p log.Position, wake log.Waker) (*QueueReader, *log.Reset) {
	r := &QueueReader{queue: q}
	q.Lock()
	defer q.Unlock()
	if same, known := q.SameUpTo(p.Epoch); known && p.Offset <= same {
		p.Offset = max(p.Offset, q.Base()) // what it has not seen is acknowledged, or expired and told
	}
	return r, q.Open(&r.Reader, p, wake, log.ReaderOptions{
		Observer: q.hub.counts.observer(wake),
		OnClose:  func() { q.hub.queues.release(q) },
	})
}

// Read is Reader.Read, bounded in the same way. What expired, if anything did, is to be told before the items.
func (r *QueueReader) Read(dst []log.Item) ([]log.Item, *Expired) {
	return r.ReadUpTo(dst, log.MaxReadItems)
}

// ReadUpTo is Read with at most limit items, 1 to 256.
func (r *QueueReader) ReadUpTo(dst []log.Item, limit int) ([]log.Item, *Expired) {
	dst, _ = r.Reader.ReadUpTo(dst, limit) // what was trimmed was acknowledged, or is told now
	q := r.queue
	q.Lock()
	defer q.Unlock()
	if q.expiredThrough <= r.toldExpired {
		return dst, nil
	}
	r.toldExpired = q.expiredThrough
	return dst, &Expired{Count: q.expired, Through: q.Position(q.expiredThrough)}
}
