package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// idTTL is how long the id of a message is remembered at least, counted from QueuedAt. A message that is sent again
// within that time gets the offset that it has.
const idTTL = 10 * time.Minute

// queueRow is a row of the table queues.
type queueRow struct {
	first, head, tail       int64
	firstQueued             int64 // QueuedAt of the message at offset first, if there is one
	bytes                   int64
	expired, expiredThrough int64
	nextExpiry              sql.NullInt64
}

func (w *writer) queue(user string) (q queueRow, err error) {
	q.first = 1
	_, err = w.scan([]any{
		&q.first, &q.firstQueued, &q.head, &q.tail, &q.bytes, &q.expired, &q.expiredThrough, &q.nextExpiry,
	}, `SELECT first, first_queued, head, tail, bytes, expired, expired_through, next_expiry FROM queues
			WHERE user = ?`, user)
	return q, err
}

func (w *writer) putQueue(user string, q *queueRow) error {
	_, err := w.exec(`INSERT OR REPLACE INTO queues
		(user, first, first_queued, head, tail, bytes, expired, expired_through, next_expiry)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, user, q.first, q.firstQueued, q.head, q.tail, q.bytes,
		q.expired, q.expiredThrough, q.nextExpiry)
	return err
}

// Enqueue implements hub.QueueStore.
func (s *Store) Enqueue(messages []hub.StoredMessage, limits hub.QueueLimits) (offsets []uint64, err error) {
	var e enqueuing
	err = s.writer.write(func(w *writer) error { // may run twice, so it starts with empty results
		offsets = make([]uint64, len(messages))
		e = enqueuing{w: w, queues: make(map[string]*queueRow), named: make(map[[3]string]uint64)}
		if err := e.check(messages, limits); err != nil {
			return err
		}
		return e.add(messages, offsets)
	})
	if err != nil {
		return nil, err
	}
	s.writer.figures.messages.Add(int64(e.added))
	s.writer.figures.expired.Add(e.expired)
	return offsets, nil
}

// enqueuing is the state of one call of Enqueue.
type enqueuing struct {
	w      *writer
	queues map[string]*queueRow
	named  map[[3]string]uint64 // → offset; 0 until it has one
	added  int

	expired int64 // messages that this call has expired
}

// check reads the queues of the recipients, and returns an error if the new messages would exceed their limits. In a
// full queue it first expires messages.
func (e *enqueuing) check(messages []hub.StoredMessage, limits hub.QueueLimits) error {
	type addition struct {
		messages int
		bytes    int64
	}
	additions := make(map[string]*addition)
	for i := range messages {
		m := &messages[i]
		if e.queues[m.User] == nil {
			q, err := e.w.queue(m.User)
			if err != nil {
				return err
			}
			e.queues[m.User], additions[m.User] = &q, &addition{}
		}
		isNew, err := e.isNew(m, i)
		if err != nil {
			return err
		}
		if !isNew {
			continue
		}
		q, add := e.queues[m.User], additions[m.User]
		add.messages++
		add.bytes += int64(len(m.Payload))
		full := hub.QueueFull(m.User, int(q.tail-q.head)+add.messages, q.bytes+add.bytes, limits)
		if full != nil && q.hasExpired(m.QueuedAt) {
			expired, err := e.w.expire(m.User, q, m.QueuedAt, int(q.tail-q.head))
			if err != nil {
				return err
			}
			e.expired += expired
			full = hub.QueueFull(m.User, int(q.tail-q.head)+add.messages, q.bytes+add.bytes, limits)
		}
		if full != nil {
			return full
		}
	}
	return nil
}

// isNew reports whether a queue does not have the message yet, which is the call's i-th. Errors: *hub.IDConflictError
// if it has another one under its id.
func (e *enqueuing) isNew(m *hub.StoredMessage, i int) (bool, error) {
	if !m.Named {
		return true, nil
	}
	key := [3]string{m.User, m.Sender, m.ID}
	if _, duplicate := e.named[key]; duplicate {
		return false, nil
	}
	var offset int64
	var earlier hub.StoredMessage
	exists, err := e.w.scan([]any{&offset, &earlier.Topic, &earlier.Event, &earlier.Payload},
		`SELECT offset, topic, event, payload FROM messages
		WHERE user = ? AND sender = ? AND id = ? AND named = 1`, m.User, m.Sender, m.ID)
	if exists && earlier.Digest() != m.Digest() {
		return false, &hub.IDConflictError{Index: i}
	}
	e.named[key] = uint64(offset)
	return !exists, err
}

func (e *enqueuing) add(messages []hub.StoredMessage, offsets []uint64) error {
	for i := range messages {
		m := &messages[i]
		key := [3]string{m.User, m.Sender, m.ID}
		if m.Named && e.named[key] > 0 {
			offsets[i] = e.named[key]
			continue
		}
		if err := e.insert(m, e.queues[m.User]); err != nil {
			return err
		}
		offsets[i] = uint64(e.queues[m.User].tail)
		if m.Named {
			e.named[key] = offsets[i]
		}
	}
	for user, q := range e.queues {
		if err := e.w.putQueue(user, q); err != nil {
			return err
		}
	}
	return nil
}

// insert adds one message to the end of its queue. It must not expire before the message in front of it, because
// expiry only ever moves the head.
func (e *enqueuing) insert(m *hub.StoredMessage, q *queueRow) error {
	expires := m.ExpiresAt.UnixMilli()
	if q.tail > q.head {
		var last int64
		const expiry = `SELECT expires_at FROM messages WHERE user = ? AND offset = ?`
		if _, err := e.w.scan([]any{&last}, expiry, m.User, q.tail); err != nil {
			return err
		}
		expires = max(expires, last)
	} else {
		q.nextExpiry = sql.NullInt64{Int64: expires, Valid: true}
	}
	e.added++
	q.tail++
	if q.first == q.tail {
		q.firstQueued = m.QueuedAt.UnixMilli()
	}
	q.bytes += int64(len(m.Payload))
	_, err := e.w.exec(`INSERT INTO messages
		(user, offset, id, named, sender, topic, event, payload, queued_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.User, q.tail, m.ID, m.Named, m.Sender, m.Topic, m.Event, []byte(m.Payload), m.QueuedAt.UnixMilli(), expires)
	return err
}

// AckMessages implements hub.QueueStore.
func (s *Store) AckMessages(user string, through uint64) (ahead bool, err error) {
	err = s.writer.write(func(w *writer) error {
		ahead = false
		q, err := w.queue(user)
		if err != nil {
			return err
		}
		if through > uint64(q.tail) {
			ahead = true
			return nil
		}
		to := int64(through)
		if to <= q.head && (q.expired == 0 || to < q.expiredThrough) {
			return nil
		}
		if to > q.head {
			if err := w.moveHead(user, &q, to); err != nil {
				return err
			}
		}
		if to >= q.expiredThrough {
			q.expired, q.expiredThrough = 0, 0
		}
		return w.putQueue(user, &q)
	})
	return ahead, err
}

// moveHead moves the head of a queue forward: the messages up to that offset are acknowledged or expired.
func (w *writer) moveHead(user string, q *queueRow, to int64) error {
	var bytes int64
	_, err := w.scan([]any{&bytes}, `SELECT coalesce(sum(length(payload)), 0) FROM messages
		WHERE user = ? AND offset > ? AND offset <= ?`, user, q.head, to)
	if err != nil {
		return err
	}
	q.head, q.bytes, q.nextExpiry = to, q.bytes-bytes, sql.NullInt64{}
	if q.head == q.tail {
		return nil
	}
	_, err = w.scan([]any{&q.nextExpiry},
		`SELECT expires_at FROM messages WHERE user = ? AND offset = ?`, user, q.head+1)
	return err
}

// hasExpired reports whether the oldest waiting message has expired.
func (q *queueRow) hasExpired(now time.Time) bool {
	return q.nextExpiry.Valid && q.nextExpiry.Int64 <= now.UnixMilli()
}

// expire moves the head of one queue over its expired messages, at most limit, and returns how many. The caller writes
// the row.
func (w *writer) expire(user string, q *queueRow, now time.Time, limit int) (int64, error) {
	if !q.hasExpired(now) || limit <= 0 {
		return 0, nil
	}
	var to int64 // no message expires before the one in front of it, so the last expired one is the new head
	_, err := w.scan([]any{&to}, `SELECT coalesce(max(offset), 0) FROM
		(SELECT offset FROM messages
			WHERE user = ? AND offset > ? AND offset <= ? AND expires_at <= ? ORDER BY offset)`,
		user, q.head, q.head+int64(limit), now.UnixMilli())
	if err != nil || to <= q.head {
		return 0, err
	}
	n := to - q.head
	if err := w.moveHead(user, q, to); err != nil {
		return 0, err
	}
	q.expired += n
	q.expiredThrough = to
	return n, nil
}

// ExpireMessages implements hub.QueueStore.
func (s *Store) ExpireMessages(user string, now time.Time, limit int) (n int, err error) {
	if none, err := s.noneExpired(user, now); err != nil || none {
		return 0, err
	}
	err = s.writer.write(func(w *writer) (err error) {
		n, err = w.expireSome(user, now, limit)
		return err
	})
	if err == nil {
		s.writer.figures.expired.Add(int64(n))
	}
	return n, err
}

// expireSome expires messages of one user, or of all if user is empty, at most limit, and returns how many.
func (w *writer) expireSome(user string, now time.Time, limit int) (n int, err error) {
	const next = `SELECT user FROM queues WHERE next_expiry <= ? LIMIT 1`
	for n < limit {
		name := user
		if user == "" {
			if found, err := w.scan([]any{&name}, next, now.UnixMilli()); err != nil || !found {
				return n, err
			}
		}
		q, err := w.queue(name)
		if err != nil {
			return n, err
		}
		expired, err := w.expire(name, &q, now, limit-n)
		if err != nil || expired == 0 {
			return n, err
		}
		if err := w.putQueue(name, &q); err != nil {
			return n, err
		}
		if n += int(expired); user != "" {
			break
		}
	}
	return n, nil
}

// noneExpired reports whether no message has expired. It uses the reader pool, so that a call without work does not
// take the writer's time.
func (s *Store) noneExpired(user string, now time.Time) (bool, error) {
	query, args := `SELECT 1 FROM queues WHERE next_expiry <= ? LIMIT 1`, []any{now.UnixMilli()}
	if user != "" {
		query, args = `SELECT 1 FROM queues WHERE next_expiry <= ? AND user = ?`, append(args, user)
	}
	var one int
	db, done := s.reader()
	defer done()
	err := db.QueryRowContext(context.Background(), query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, unavailable(err)
}

// Messages implements hub.QueueStore. It reads a page in one transaction, so that its parts agree.
func (s *Store) Messages(user string, after uint64, limit int) (page hub.QueuePage, err error) {
	ctx := context.Background()
	db, done := s.reader()
	defer done()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return page, unavailable(err)
	}
	defer func() { _ = tx.Rollback() }() // of a transaction that has only read
	var head, tail, through int64
	err = tx.QueryRowContext(ctx, `SELECT head, tail, expired, expired_through FROM queues WHERE user = ?`, user).
		Scan(&head, &tail, &page.Expired, &through)
	if errors.Is(err, sql.ErrNoRows) {
		return page, nil
	}
	if err != nil {
		return page, unavailable(err)
	}
	page.Head, page.Tail, page.ExpiredThrough = uint64(head), uint64(tail), uint64(through)
	rows, err := tx.QueryContext(ctx, `SELECT offset, id, named, sender, topic, event, payload, queued_at, expires_at
		FROM messages WHERE user = ? AND offset > ? ORDER BY offset LIMIT ?`,
		user, max(int64(min(after, page.Tail)), head), limit)
	if err != nil {
		return page, unavailable(err)
	}
	defer rows.Close()
	for size := 0; size < hub.PageBytes && rows.Next(); {
		m := hub.StoredMessage{User: user}
		var queued, expires int64
		var payload []byte
		err := rows.Scan(&m.Offset, &m.ID, &m.Named, &m.Sender, &m.Topic, &m.Event, &payload, &queued, &expires)
		if err != nil {
			return page, unavailable(err)
		}
		m.Payload, m.QueuedAt, m.ExpiresAt = payload, time.UnixMilli(queued).UTC(), time.UnixMilli(expires).UTC()
		page.Messages = append(page.Messages, m)
		size += len(payload)
	}
	return page, unavailable(rows.Err())
}

// QueueSummaries implements hub.QueueStore.
func (s *Store) QueueSummaries(limit int) (list []hub.QueueSummary, all hub.QueueTotals, err error) {
	ctx := context.Background()
	db, done := s.reader()
	defer done()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, all, unavailable(err)
	}
	defer func() { _ = tx.Rollback() }() // of a transaction that has only read
	err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(tail - head), 0), coalesce(sum(bytes), 0) FROM queues
		WHERE next_expiry IS NOT NULL`).
		Scan(&all.Users, &all.Messages, &all.Bytes)
	if err != nil {
		return nil, all, unavailable(err)
	}
	if all.Users == 0 {
		return nil, all, nil
	}
	var oldest int64
	err = tx.QueryRowContext(ctx, `SELECT m.queued_at
		FROM queues q JOIN messages m ON m.user = q.user AND m.offset = q.head + 1
		WHERE q.next_expiry = (SELECT min(next_expiry) FROM queues WHERE next_expiry IS NOT NULL) LIMIT 1`).
		Scan(&oldest)
	if err != nil {
		return nil, all, unavailable(err)
	}
	all.Oldest = time.UnixMilli(oldest).UTC()
	if limit == 0 {
		return nil, all, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT q.user, q.tail - q.head AS waiting, q.bytes, m.queued_at
		FROM queues q JOIN messages m ON m.user = q.user AND m.offset = q.head + 1
		WHERE q.next_expiry IS NOT NULL ORDER BY waiting DESC, q.user LIMIT ?`, limit)
	if err != nil {
		return nil, all, unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one hub.QueueSummary
		var queued int64
		if err := rows.Scan(&one.User, &one.Messages, &one.Bytes, &queued); err != nil {
			return nil, all, unavailable(err)
		}
		one.Oldest = time.UnixMilli(queued).UTC()
		list = append(list, one)
	}
	return list, all, unavailable(rows.Err())
}
