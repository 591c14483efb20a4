package sqlite

import (
	"context"
	"time"
)

// What a step of sweeping does at most.
const (
	sweepUsers = 50
	sweepRows  = 500
)

// steadyClock tells since when the wall clock has gone as fast as time does. Whoever compares a time that was written down with the time of now
// must know that: while it has, and for as long as it has, differences are true.
type steadyClock struct {
	wall      time.Time
	up, since time.Duration // of the process, which no clock can set
}

// maxSlip is how much the wall clock may go wrong between two ticks: it is slewed, not set.
const maxSlip = time.Second

// tick takes the wall clock's time and the time since the store was opened, and returns for how long the clock has been steady.
func (c *steadyClock) tick(wall time.Time, up time.Duration) time.Duration {
	wall = wall.Round(0) // without Go's monotonic reading
	if slip := wall.Sub(c.wall) - (up - c.up); slip.Abs() > maxSlip {
		c.since = up
	}
	c.wall, c.up = wall, up
	return up - c.since
}

// sweep forgets messages that are done with, when their ids need not be known any longer. The clock must have been steady for idLife: then what
// is of the future was queued before the clock was set back, and is old too.
func (s *Store) sweep(ctx context.Context, now time.Time) {
	old := span{before: now.Add(-idLife).UnixMilli(), after: now.Add(maxSlip).UnixMilli()}
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

// span is all times before one and after another, in Unix milliseconds.
type span struct{ before, after int64 }

// usersDone returns some users whose first message is done with and old.
func (s *Store) usersDone(old span) (users []string, err error) {
	db, done := s.reader()
	defer done()
	rows, err := db.QueryContext(context.Background(), `SELECT user FROM queues WHERE first <= head AND first_queued < ?
		UNION ALL SELECT user FROM queues WHERE first <= head AND first_queued > ? LIMIT ?`, old.before, old.after, sweepUsers)
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

// sweep takes a step with the queues of some users.
func (w *writer) sweep(users []string, old span) error {
	budget := int64(sweepRows)
	for _, user := range users {
		q, err := w.queue(user)
		if err != nil {
			return err
		}
		to := min(q.head, q.first+budget-1)
		n, err := w.exec(`DELETE FROM messages WHERE user = ? AND offset BETWEEN ? AND ? AND (queued_at < ? OR queued_at > ?)`, user, q.first, to, old.before, old.after)
		if err != nil {
			return err
		}
		q.first = q.tail + 1
		if _, err := w.scan([]any{&q.first, &q.firstQueued}, `SELECT offset, queued_at FROM messages WHERE user = ? ORDER BY offset LIMIT 1`, user); err != nil {
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
