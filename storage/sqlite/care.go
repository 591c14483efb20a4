package sqlite

import (
	"context"
	"fmt"
	"time"
)

// How often the store looks after itself.
const (
	careEvery       = time.Second
	checkpointEvery = 5 * time.Second
	longLog         = 16 << 20
	vacuumPages     = 64 // given back at a time
	sweepUsers      = 50
	sweepRows       = 200
)

// takeCare does what would otherwise make somebody wait: checkpoints, forgetting what is done with, giving pages back. All in small steps, through
// the one writer. While the store is degraded it tries whether it still is.
func (s *Store) takeCare(ctx context.Context, checkpoints time.Duration) {
	tick, checkpoint := time.NewTicker(careEvery), time.NewTicker(checkpoints)
	defer tick.Stop()
	defer checkpoint.Stop()
	user := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if s.Err() != nil {
				s.probe()
				continue
			}
			user = s.sweep(user, now)
		case <-checkpoint.C:
			s.checkpoint(ctx)
		}
	}
}

// probe writes something, to find out.
func (s *Store) probe() {
	_ = s.writer.write(func(w *writer) error { // it notes the outcome itself
		_, err := w.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`, metaProbe, time.Now().UTC().Format(time.RFC3339Nano))
		return err
	})
}

// sweep forgets messages that are done with, when their ids need not be known any longer: those of some users after one, and returns the last.
func (s *Store) sweep(after string, now time.Time) (last string) {
	users, err := s.usersDone(after)
	if err != nil {
		return after
	}
	for _, user := range users {
		if last = user; s.sweepUser(user, now.Add(-idLife)) != nil {
			return user
		}
	}
	if len(users) < sweepUsers {
		return "" // from the beginning
	}
	return last
}

func (s *Store) usersDone(after string) (users []string, err error) {
	rows, err := s.readers.QueryContext(context.Background(), `SELECT user FROM queues WHERE first <= head AND user > ? ORDER BY user LIMIT ?`, after, sweepUsers)
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

// sweepUser takes a step with one user: the oldest rows that are done with and came before a time.
func (s *Store) sweepUser(user string, before time.Time) error {
	young, err := s.oldestIsYoung(user, before)
	if err != nil || young {
		return err
	}
	return s.writer.write(func(w *writer) error {
		q, err := w.queue(user)
		if err != nil {
			return err
		}
		to := min(q.head, q.first+sweepRows-1)
		if _, err := w.exec(`DELETE FROM messages WHERE user = ? AND offset BETWEEN ? AND ? AND queued_at < ?`, user, q.first, to, before.UnixMilli()); err != nil {
			return err
		}
		q.first = q.tail + 1
		if _, err := w.scan([]any{&q.first}, `SELECT offset FROM messages WHERE user = ? ORDER BY offset LIMIT 1`, user); err != nil {
			return err
		}
		return w.putQueue(user, &q)
	})
}

func (s *Store) oldestIsYoung(user string, before time.Time) (bool, error) {
	var queued int64
	err := s.readers.QueryRowContext(context.Background(), `SELECT queued_at FROM messages WHERE user = ? ORDER BY offset LIMIT 1`, user).Scan(&queued)
	return err == nil && queued >= before.UnixMilli(), nil // none at all: then the row of the queue is to be set right
}

// checkpoint moves the log into the database, as far as readers allow, and gives some free pages back. A log that has become long all the same is
// emptied: that waits for readers for a moment.
func (s *Store) checkpoint(ctx context.Context) {
	statements := []string{`PRAGMA wal_checkpoint(PASSIVE)`}
	if s.logBytes() > longLog {
		statements = []string{`PRAGMA busy_timeout = 100`, `PRAGMA wal_checkpoint(TRUNCATE)`, `PRAGMA busy_timeout = 5000`}
	}
	statements = append(statements, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, vacuumPages))
	for _, q := range statements {
		if err := s.writer.tidy(ctx, q); err != nil && ctx.Err() == nil {
			s.logger.Warn("the database is not tidied at the moment", "statement", q, "error", err)
		}
	}
}
