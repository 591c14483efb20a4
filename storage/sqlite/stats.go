package sqlite

import (
	"os"
	"path/filepath"
	"time"
)

// Stats are a store's figures since it was opened.
type Stats struct {
	FileBytes, LogBytes int64         // of the database and of its write-ahead log, now
	Commits             int64         // transactions
	Requests            int64         // that were committed in them
	CommitTime          time.Duration // of all commits together; with Full nearly all of it is fsync
	Failures            int64         // batches that could not be written
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	w := s.writer
	return Stats{
		FileBytes: size(filepath.Join(s.dir, FileName)), LogBytes: s.logBytes(),
		Commits: w.commits.Load(), Requests: w.committed.Load(), CommitTime: time.Duration(w.commitTime.Load()), Failures: w.failures.Load(),
	}
}

func (s *Store) logBytes() int64 { return size(filepath.Join(s.dir, FileName+"-wal")) }

// size returns how large a file is; 0 where there is none.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
