package sqlite

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/meter"
)

// figures are written by the writer's goroutine and read by others.
type figures struct {
	commits, requests, largestBatch atomic.Int64
	messages, expired               atomic.Int64
	commitTime, longestCommit       atomic.Int64 // nanoseconds
	commitTimes                     *meter.Histogram
	failures, choreFailures         atomic.Int64
}

func newFigures() figures {
	return figures{commitTimes: meter.NewHistogram(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
		2.5)}
}

// committed counts a committed batch.
func (f *figures) committed(requests int, took time.Duration) {
	f.commits.Add(1)
	f.requests.Add(int64(requests))
	f.largestBatch.Store(max(f.largestBatch.Load(), int64(requests)))
	f.commitTime.Add(int64(took))
	f.longestCommit.Store(max(f.longestCommit.Load(), int64(took)))
	f.commitTimes.Observe(took.Seconds())
}

// Stats implements hub.StoreMeter.
func (s *Store) Stats() hub.StoreStats {
	f := &s.writer.figures
	return hub.StoreStats{
		FileBytes: size(filepath.Join(s.dir, FileName)), LogBytes: s.logBytes(),
		Commits: f.commits.Load(), Requests: f.requests.Load(), LargestBatch: f.largestBatch.Load(),
		Messages: f.messages.Load(), Expired: f.expired.Load(),
		CommitTime: time.Duration(f.commitTime.Load()), LongestCommit: time.Duration(f.longestCommit.Load()),
		CommitTimes: f.commitTimes.Snapshot(), Failures: f.failures.Load(), ChoreFailures: f.choreFailures.Load(),
	}
}

func (s *Store) logBytes() int64 { return size(filepath.Join(s.dir, FileName+"-wal")) }

// size returns the size of a file; 0 if there is none.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
