package sqlite_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// BenchmarkEnqueue shows what group commit gives: messages a second and latency for 1, 16 and 256 publishers, and beside it one transaction, with
// its fsync, for each message, as a publisher that waits its turn has it.
func BenchmarkEnqueue(b *testing.B) {
	for _, publishers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) { benchEnqueue(b, publishers, noTurns{}) })
		b.Run(fmt.Sprintf("publishers=%d,fsync-each", publishers), func(b *testing.B) { benchEnqueue(b, publishers, new(sync.Mutex)) })
	}
}

// noTurns lets everybody publish at the same time.
type noTurns struct{}

func (noTurns) Lock()   {}
func (noTurns) Unlock() {}

func benchEnqueue(b *testing.B, publishers int, turns sync.Locker) {
	s, err := sqlite.Open(sqlite.Options{Dir: b.TempDir(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	payload := []byte(`{"text":"a notification of about a hundred bytes, such as: the build of main has failed, see the log"}`)
	room := hub.QueueRoom{Messages: 1 << 40, Bytes: 1 << 60}
	took := make([][]time.Duration, publishers)
	var work sync.WaitGroup
	b.ResetTimer()
	for p := range publishers {
		n := b.N / publishers
		if p < b.N%publishers {
			n++
		}
		work.Go(func() {
			for range n {
				now := time.Now()
				m := hub.StoredMessage{User: fmt.Sprint("u", p), ID: "x", Event: "e", Payload: payload, QueuedAt: now, ExpiresAt: now.Add(time.Hour)}
				turns.Lock()
				_, err := s.Enqueue([]hub.StoredMessage{m}, room)
				turns.Unlock()
				if err != nil {
					b.Error(err)
				}
				took[p] = append(took[p], time.Since(now))
			}
		})
	}
	work.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(s.Stats().Requests)/float64(s.Stats().Commits), "msgs/commit")
}
