package sqlite

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Stats are a store's figures since it was opened.
type Stats struct {
	FileBytes, LogBytes int64         // of the database and of its write-ahead log, now
	Commits             int64         // transactions
	Requests            int64         // that were committed in them; by Commits: the mean size of a batch
	LargestBatch        int64         // the most that one transaction had
	Messages            int64         // that were added to queues
	CommitTime          time.Duration // of all commits together; with Full nearly all of it is fsync
	LongestCommit       time.Duration
	Failures            int64 // batches that could not be written
	ChoreFailures       int64 // checkpoints and other tidying that failed
}

// figures are counted by the writer's goroutine, and read by others.
type figures struct {
	commits, requests, largestBatch, messages atomic.Int64
	commitTime, longestCommit                 atomic.Int64 // nanoseconds
	failures, choreFailures                   atomic.Int64
}

// committed counts a batch.
func (f *figures) committed(requests int, took time.Duration) {
	f.commits.Add(1)
	f.requests.Add(int64(requests))
	f.largestBatch.Store(max(f.largestBatch.Load(), int64(requests)))
	f.commitTime.Add(int64(took))
	f.longestCommit.Store(max(f.longestCommit.Load(), int64(took)))
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	f := &s.writer.figures
	return Stats{
		FileBytes: size(filepath.Join(s.dir, FileName)), LogBytes: s.logBytes(),
		Commits: f.commits.Load(), Requests: f.requests.Load(), LargestBatch: f.largestBatch.Load(), Messages: f.messages.Load(),
		CommitTime: time.Duration(f.commitTime.Load()), LongestCommit: time.Duration(f.longestCommit.Load()),
		Failures: f.failures.Load(), ChoreFailures: f.choreFailures.Load(),
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
