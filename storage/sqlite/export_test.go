package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"
)

// What tests know besides.
const (
	IDLife      = idLife
	MaxSlip     = maxSlip
	VeryLongLog = veryLongLog
)

// LimitPages lets the database grow to so many pages only, as a disk that is full does; 0: without limit.
func (s *Store) LimitPages(n int) error {
	if n == 0 {
		n = 1 << 30
	}
	return s.writer.tidy(context.Background(), fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
}

// Fail has a request fail with an error of SQLite's, as if it came from the file.
func (s *Store) Fail(code sqlite3.ErrNo) error {
	return s.writer.write(func(*writer) error { return broken(sqlite3.Error{Code: code}) })
}

// Hold keeps the writer busy until release is called, so that the requests of meanwhile share a batch. It returns when the writer is busy.
func (s *Store) Hold() (release func()) {
	held, over := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.writer.write(func(*writer) error { close(held); <-over; return nil }) // what becomes of it does not matter
	}()
	<-held
	return func() { close(over) }
}

// Waiting returns how many requests wait for the writer.
func (s *Store) Waiting() int { return len(s.writer.requests) }

// Sweep sweeps as of a time, by a clock that has been steady.
func (s *Store) Sweep(now time.Time) { s.sweep(context.Background(), now) }

// Vacuum gives back what one step does.
func (s *Store) Vacuum() { s.vacuum(context.Background()) }

// Checkpoint does what is otherwise done from time to time.
func (s *Store) Checkpoint() { s.checkpoint(context.Background()) }

// SteadyClock is a steadyClock.
type SteadyClock struct{ clock steadyClock }

// Tick is tick.
func (c *SteadyClock) Tick(wall time.Time, up time.Duration) time.Duration {
	return c.clock.tick(wall, up)
}
