package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Intervals and sizes of the store's maintenance.
const (
	careEvery       = time.Second
	checkpointEvery = 5 * time.Second
	longLog         = 16 << 20 // bytes of the WAL, from which on a checkpoint truncates it
	sparePages      = 256      // free pages that stay in the file for the next writes
	vacuumPages     = 256      // pages that one step returns to the file system
)

// takeCare runs the store's maintenance: checkpoints, deletion of old ids, and vacuuming, all in small steps through
// the writer. While the store is degraded, it only probes whether writes succeed again.
func (s *Store) takeCare(ctx context.Context, checkpoints time.Duration) {
	tick, checkpoint := time.NewTicker(careEvery), time.NewTicker(checkpoints)
	defer tick.Stop()
	defer checkpoint.Stop()
	opened, clock := time.Now(), steadyClock{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			steady := clock.tick(now, now.Sub(opened))
			if s.Err() != nil {
				s.probe()
				continue
			}
			if steady >= idTTL {
				s.sweep(ctx, now)
			}
			s.vacuum(ctx)
		case <-checkpoint.C:
			s.checkpoint(ctx)
		}
	}
}

// probe writes a value, to find out whether writes succeed again.
func (s *Store) probe() {
	_ = s.writer.write(func(w *writer) error { // the writer records the outcome
		return w.putMeta(metaProbe, time.Now().UTC().Format(time.RFC3339Nano))
	})
}

// checkpoint copies the WAL into the database while the store's own readers wait. Only a reader of another process can
// make it incomplete. A WAL longer than longLog is also truncated.
func (s *Store) checkpoint(ctx context.Context) {
	if s.logBytes() <= longLog {
		s.chore(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		return
	}
	s.chore(ctx, `PRAGMA busy_timeout = 100`)
	s.chore(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	s.chore(ctx, `PRAGMA busy_timeout = 5000`)
}

// vacuum returns some free pages to the file system.
func (s *Store) vacuum(ctx context.Context) {
	var free int
	db, done := s.reader()
	err := db.QueryRowContext(context.Background(), `PRAGMA freelist_count`).Scan(&free)
	if done(); err != nil || free <= sparePages {
		return
	}
	s.chore(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, min(free-sparePages, vacuumPages)))
}

func (s *Store) chore(ctx context.Context, query string) {
	if err := s.writer.tidy(ctx, query); err != nil && ctx.Err() == nil {
		s.logger.Warn("maintenance of the database failed", "statement", query, "error", err)
	}
}
