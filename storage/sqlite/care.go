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
	sparePages      = 256 // that stay free in the file, for what comes next
	vacuumPages     = 256 // given back at a time
)

// takeCare does what would otherwise make somebody wait: checkpoints, forgetting what is done with, giving pages back. All in small steps, through
// the one writer. While the store is degraded it tries whether it still is.
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
			if steady >= idLife {
				s.sweep(ctx, now)
			}
			s.vacuum(ctx)
		case <-checkpoint.C:
			s.checkpoint(ctx)
		}
	}
}

// probe writes something, to find out.
func (s *Store) probe() {
	_ = s.writer.write(func(w *writer) error { // it notes the outcome itself
		return w.putMeta(metaProbe, time.Now().UTC().Format(time.RFC3339Nano))
	})
}

// checkpoint moves the log into the database, while the store's own readers wait: all of it, unless another process reads. A log that has become
// long all the same is emptied.
func (s *Store) checkpoint(ctx context.Context) {
	if s.logBytes() <= longLog {
		s.chore(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		return
	}
	s.chore(ctx, `PRAGMA busy_timeout = 100`)
	s.chore(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	s.chore(ctx, `PRAGMA busy_timeout = 5000`)
}

// vacuum gives some of the pages back that are free.
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
		s.logger.Warn("the database is not tidied at the moment", "statement", query, "error", err)
	}
}
