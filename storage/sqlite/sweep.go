package sqlite

import (
	"context"
	"time"
)

// Limits of one step of sweeping.
const (
	sweepUsers = 50
	sweepRows  = 500
)

// steadyClock tells since when the wall clock has kept pace with the monotonic clock. Only for as long as it has may a
// stored time be compared with the current one.
type steadyClock struct {
	wall      time.Time
	up, since time.Duration // on the monotonic clock, since the store was opened
}

// maxSlip is how far the wall clock may deviate between two ticks. A clock that is slewed stays below it.
const maxSlip = time.Second

// tick takes the wall clock's time and the monotonic time since the store was opened, and returns for how long the
// clock has been steady.
func (c *steadyClock) tick(wall time.Time, up time.Duration) time.Duration {
	wall = wall.Round(0) // without Go's monotonic reading
	if slip := wall.Sub(c.wall) - (up - c.up); slip.Abs() > maxSlip {
		c.since = up
	}
	c.wall, c.up = wall, up
	return up - c.since
}

// sweep deletes acknowledged and expired messages whose ids need not be known any longer. The clock must have been
// steady for idTTL: then a message with a time in the future was queued before the clock was set back, and is old as
// well.
func (s *Store) sweep(ctx context.Context, now time.Time) {
	old := span{before: now.Add(-idTTL).UnixMilli(), after: now.Add(maxSlip).UnixMilli()}
	for ctx.Err() == nil {
		users, err := s.usersDone(old)
		if err != nil || len(users) == 0 {
			return
		}
		if err := s.writer.write(func(w *writer) error { return w.sweep(users, old) }); err != nil {
			return
		}
	}
}

// span is all times before one moment and all after another, in Unix milliseconds.
type span struct{ before, after int64 }

// usersDone returns some users whose first message is acknowledged or expired, and old.
func (s *Store) usersDone(old span) (users []string, err error) {
	db, done := s.reader()
	defer done()
	rows, err := db.QueryContext(context.Background(), `SELECT user FROM queues WHERE first <= head AND first_queued < ?
		UNION ALL SELECT user FROM queues WHERE first <= head AND first_queued > ? LIMIT ?`,
		old.before, old.after, sweepUsers)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var user string
		if err := rows.Scan(&user); err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, rows.Err()
}

// sweep deletes up to sweepRows old messages of some users.
func (w *writer) sweep(users []string, old span) error {
	budget := int64(sweepRows)
	for _, user := range users {
		q, err := w.queue(user)
		if err != nil {
			return err
		}
		to := min(q.head, q.first+budget-1)
		n, err := w.exec(`DELETE FROM messages
			WHERE user = ? AND offset BETWEEN ? AND ? AND (queued_at < ? OR queued_at > ?)`,
			user, q.first, to, old.before, old.after)
		if err != nil {
			return err
		}
		q.first = q.tail + 1
		_, err = w.scan([]any{&q.first, &q.firstQueued},
			`SELECT offset, queued_at FROM messages WHERE user = ? ORDER BY offset LIMIT 1`, user)
		if err != nil {
			return err
		}
		if err := w.putQueue(user, &q); err != nil {
			return err
		}
		if budget -= n; budget <= 0 {
			return nil
		}
	}
	return nil
}
