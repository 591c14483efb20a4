package hub

import (
	"strconv"

	"github.com/duckwire/duckwire/hub/log"
)

// QueueReader reads a user's queue for one session. Reading does not acknowledge: each session of the user gets all
// messages that are not acknowledged before it reads them. It belongs to one goroutine.
type QueueReader struct {
	log.Reader
	queue       *queueLog
	toldExpired uint64 // the last expired message that the session was told of
}

// Expired reports messages that expired before they were acknowledged: how many since the last acknowledgement, and the
// position of the last. Acknowledging that position confirms the report.
type Expired struct {
	Count   int
	Through log.Position
}

// ExpiredEvent is the event's name under which clients get an Expired.
const ExpiredEvent = "messages_expired"

// AppendJSON appends the report as clients get it: the schema MessagesExpired of openapi.yaml.
func (e *Expired) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"expired":`...), int64(e.Count), 10)
	dst = e.Through.Append(append(dst, `,"through":"`...))
	return append(dst, `"}`...)
}

// openReader opens a reader after p. If p cannot be resumed, it returns a Reset and reads all messages.
func (q *queueLog) openReader(p log.Position, wake log.Waker) (*QueueReader, *log.Reset) {
	r := &QueueReader{queue: q}
	q.Lock()
	defer q.Unlock()
	if same, known := q.SameUpTo(p.Epoch); known && p.Offset <= same {
		p.Offset = max(p.Offset, q.Base()) // messages in between were acknowledged, or expired, of which Read reports
	}
	return r, q.Open(&r.Reader, p, wake, log.ReaderOptions{
		Observer: q.hub.counts.observer(wake),
		OnClose:  func() { q.hub.queues.release(q) },
	})
}

// Read is Reader.Read, with the same bounds. If messages have expired, the client must be told before it gets the
// items.
func (r *QueueReader) Read(dst []log.Item) ([]log.Item, *Expired) {
	return r.ReadUpTo(dst, log.MaxReadItems)
}

// ReadUpTo is Read with at most limit items, 1 to 256.
func (r *QueueReader) ReadUpTo(dst []log.Item, limit int) ([]log.Item, *Expired) {
	dst, _ = r.Reader.ReadUpTo(dst, limit) // trimmed messages were acknowledged, or are reported below
	q := r.queue
	q.Lock()
	defer q.Unlock()
	if q.expiredThrough <= r.toldExpired {
		return dst, nil
	}
	r.toldExpired = q.expiredThrough
	return dst, &Expired{Count: q.expired, Through: q.Position(q.expiredThrough)}
}
