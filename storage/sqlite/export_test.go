package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"
)

// Constants for tests.
const (
	IDTTL       = idTTL
	MaxSlip     = maxSlip
	VeryLongLog = veryLongLog
)

// LimitPages limits how many pages the database may have, to simulate a full disk; 0: no limit.
func (s *Store) LimitPages(n int) error {
	if n == 0 {
		n = 1 << 30
	}
	return s.writer.tidy(context.Background(), fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
}

// Fail makes a request fail with an error of SQLite, as if it came from the file.
func (s *Store) Fail(code sqlite3.ErrNo) error {
	return s.writer.write(func(*writer) error { return storageFailure(sqlite3.Error{Code: code}) })
}

// Hold blocks the writer until release is called, so that later requests share a batch. It returns when the writer is
// blocked.
func (s *Store) Hold() (release func()) {
	blocked, over := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.writer.write(func(*writer) error { close(blocked); <-over; return nil }) // the result does not matter
	}()
	<-blocked
	return func() { close(over) }
}

// Waiting returns how many requests wait for the writer.
func (s *Store) Waiting() int { return len(s.writer.requests) }

// Sweep sweeps at a given time, with a clock that has been steady.
func (s *Store) Sweep(now time.Time) { s.sweep(context.Background(), now) }

// Vacuum runs one step of vacuum.
func (s *Store) Vacuum() { s.vacuum(context.Background()) }

// Checkpoint runs a checkpoint.
func (s *Store) Checkpoint() { s.checkpoint(context.Background()) }

// SteadyClock exports steadyClock.
type SteadyClock struct{ clock steadyClock }

// Tick calls tick.
func (c *SteadyClock) Tick(wall time.Time, up time.Duration) time.Duration {
	return c.clock.tick(wall, up)
}
