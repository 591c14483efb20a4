package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// benchPayload is the size of the benchmarks' payloads.
const benchPayload = 200

// BenchmarkGroupCommit adds messages from some publishers, each of which waits until its message is on disk. Each
// message is a request of its own.
func BenchmarkGroupCommit(b *testing.B) {
	for _, publishers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			s := folders{}.open(b)
			before := s.Stats()
			publish(b, publishers, func(publisher, n int) error {
				user := fmt.Sprint("u", publisher)
				_, err := s.Enqueue([]hub.StoredMessage{message(user, name(n), benchPayload)}, wide)
				return err
			})
			after := s.Stats()
			b.ReportMetric(float64(after.Requests-before.Requests)/float64(after.Commits-before.Commits), "msgs/commit")
		})
	}
}

// BenchmarkSyncPerMessage is the baseline: it appends each message to a file and syncs it.
func BenchmarkSyncPerMessage(b *testing.B) {
	for _, publishers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var mu sync.Mutex
			payload := message("u", "a", benchPayload).Payload
			publish(b, publishers, func(int, int) error {
				mu.Lock()
				defer mu.Unlock()
				if _, err := f.Write(payload); err != nil {
					return err
				}
				return f.Sync()
			})
		})
	}
}

// publish makes some publishers do b.N operations in all, and reports operations per second and the time of each.
func publish(b *testing.B, publishers int, do func(publisher, n int) error) {
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var work sync.WaitGroup
	b.ResetTimer()
	for p := range publishers {
		work.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				began := time.Now()
				if err := do(p, n); err != nil {
					b.Error(err)
					return
				}
				took[n] = time.Since(began)
			}
		})
	}
	work.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}
