package sqlite

import (
	"context"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// SaveRevocation implements rights.RevocationStore.
func (s *Store) SaveRevocation(r rights.Revocation) error {
	return s.writer.write(func(w *writer) error {
		_, err := w.exec(`INSERT INTO revocations (user, token_id, issued, until) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET issued = max(issued, excluded.issued), until = max(until, excluded.until)`,
			r.User, r.TokenID, micros(r.Issued), micros(r.Until))
		return err
	})
}

// DeleteRevocation implements rights.RevocationStore.
func (s *Store) DeleteRevocation(user, tokenID string) error {
	return s.writer.write(func(w *writer) error {
		_, err := w.exec(`DELETE FROM revocations WHERE user = ? AND token_id = ?`, user, tokenID)
		return err
	})
}

// ForgetRevocations implements rights.RevocationStore. It deletes in small steps, so that other requests do not wait
// long.
func (s *Store) ForgetRevocations(now time.Time) error {
	for {
		var n int64
		err := s.writer.write(func(w *writer) (err error) {
			n, err = w.exec(`DELETE FROM revocations WHERE (user, token_id) IN
				(SELECT user, token_id FROM revocations WHERE until <= ? LIMIT ?)`, micros(now), deleteStep)
			return err
		})
		if err != nil || n < deleteStep {
			return err
		}
	}
}

// LoadRevocations implements rights.RevocationStore.
func (s *Store) LoadRevocations(f func(rights.Revocation) error) error {
	db, done := s.reader()
	defer done()
	rows, err := db.QueryContext(context.Background(), `SELECT user, token_id, issued, until FROM revocations`)
	if err != nil {
		return unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r rights.Revocation
		var issued, until int64
		if err := rows.Scan(&r.User, &r.TokenID, &issued, &until); err != nil {
			return unavailable(err)
		}
		r.Issued, r.Until = fromMicros(issued), fromMicros(until)
		if err := f(r); err != nil {
			return err
		}
	}
	return unavailable(rows.Err())
}

// micros returns a time in Unix microseconds, and 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
