//go:build linux

package faulttest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// The kinds of store.
const (
	full      = "full"      // the store that must keep the promises
	normal    = "normal"    // Durability Normal
	unsettled = "unsettled" // full, without settling the write-ahead log
)

// checkpointEvery is short, so that a run of a tenth of a second has some checkpoints.
const checkpointEvery = 5 * time.Millisecond

func openStore(kind, dir string) (*sqlite.Store, error) {
	o := sqlite.Options{Dir: dir, CheckpointEvery: checkpointEvery, Logger: slog.New(slog.DiscardHandler)}
	if kind == normal {
		o.Durability = sqlite.Normal
	}
	return sqlite.Open(o)
}

// The words of a mark, with which a child records its requests and the store's answers.
const (
	markOpening = "opening"
	markOpened  = "opened" // and the epoch
	markFailed  = "failed" // to open
	markTry     = "try"    // a request to enqueue, by its id
	markOK      = "ok"     // and the offsets
	markAcking  = "acking" // a user, and the offset
	markAcked   = "acked"
	markError   = "error"
	markSilent  = "silent"
	markStuck   = "stuck" // errors long after the faults ended
	markEnd     = "end"
)

const childEnv = "FAULTTEST_WORKLOAD"

// patience is how long a caller may wait for an answer, and how long the store may be degraded after the faults ended.
const patience = hubtest.Hung

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		w := &worker{}
		w.exit(w.run(config))
	}
	code := m.Run()
	if shimDir != "" {
		os.RemoveAll(shimDir)
	}
	os.Exit(code)
}

// worker is the child's work: publishers that enqueue one request after the other, and readers that acknowledge.
type worker struct {
	workload
	marker
	ctl      control
	store    *sqlite.Store
	accepted atomic.Int64
	errors   atomic.Int64
	armed    sync.Once
	healed   sync.Once
	healedAt atomic.Int64
	waiting  sync.Map // callers that wait for the store → since when
}

// exit ends the child, even while the store is busy.
func (w *worker) exit(code int) {
	w.ctl.stop()
	os.Exit(code)
}

func (w *worker) run(config string) int {
	if err := json.Unmarshal([]byte(config), &w.workload); err != nil {
		panic(err)
	}
	var err error
	if w.marker, err = openMarker(w.Log); err != nil {
		panic(err)
	}
	if w.ctl, err = openControl(w.Control); err != nil {
		panic(err)
	}
	if w.ctl.get(ctlLoaded) != 1 {
		fmt.Fprintln(os.Stderr, "the shim is not loaded")
		return 4
	}
	w.watchSettling()
	if w.Arm.AtStart {
		w.arm()
	}
	if !w.open() {
		return 0
	}
	if w.Arm.After == 0 && !w.Arm.AtStart {
		w.arm()
	}
	w.work()
	if w.Close {
		if err := w.store.Close(); err != nil {
			w.mark("%s close: %v", markError, err)
		}
	}
	w.mark(markEnd)
	return 0
}

// open retries until it succeeds, and gives up if the faults have no end.
func (w *worker) open() bool {
	w.mark(markOpening)
	for {
		var err error
		if w.store, err = openStore(w.Store, w.Dir); err == nil {
			w.mark("%s %s", markOpened, w.store.QueueEpoch())
			return true
		}
		w.mark("%s %v", markFailed, err)
		if w.failed(); w.HealAfter == 0 {
			return false
		}
	}
}

func (w *worker) work() {
	go w.watch()
	var publishers, readers sync.WaitGroup
	done := make(chan struct{})
	for p, first := range w.Next {
		publishers.Go(func() {
			for n := first; n < first+w.Requests; n++ {
				w.publish(w.request(p, n))
			}
		})
	}
	for u := range w.Readers {
		readers.Go(func() { w.read(userName(u), rand.New(rand.NewPCG(w.Seed, uint64(u))), done) })
	}
	publishers.Wait()
	close(done)
	readers.Wait()
}

// watch ends the child if a caller waits too long. It runs until the process ends.
func (w *worker) watch() {
	for now := range time.Tick(patience / 20) {
		w.waiting.Range(func(who, since any) bool {
			if now.Sub(since.(time.Time)) > patience {
				w.mark("%s %s", markSilent, who)
				w.exit(0)
			}
			return true
		})
	}
}

// call marks a request and its result.
func (w *worker) call(who, word, what string, do func() (string, error)) error {
	w.mark("%s %s", word, what)
	w.waiting.Store(who, time.Now())
	answer, err := do()
	w.waiting.Delete(who)
	if err == nil {
		w.mark("%s", answer)
		return nil
	}
	w.mark("%s %s %v", markError, what, err)
	w.failed()
	if at := w.healedAt.Load(); at != 0 && time.Since(time.UnixMilli(at)) > patience {
		w.mark("%s %s %v", markStuck, what, err)
		w.exit(0)
	}
	time.Sleep(time.Millisecond) // pause between attempts, as a caller makes
	return err
}

func (w *worker) publish(r request) {
	for tries := 1; ; tries++ {
		err := w.call(r.publisher(), markTry, r.id, func() (string, error) {
			offsets, err := w.store.Enqueue(r.messages, plenty)
			return fmt.Sprintf("%s %s %v", markOK, r.id, offsets), err
		})
		if err == nil && w.accepted.Add(1) >= w.Arm.After && !w.Arm.AtStart {
			w.arm()
		}
		if err == nil || tries == w.GiveUp {
			return
		}
	}
}

// read acknowledges the messages that it reads, some at a time.
func (w *worker) read(user string, rng *rand.Rand, done <-chan struct{}) {
	for {
		page, err := w.store.Messages(user, 0, 1+rng.IntN(8))
		if err == nil && len(page.Messages) > 0 {
			through := page.Messages[len(page.Messages)-1].Offset
			_ = w.call(user, markAcking, fmt.Sprintf("%s %d", user, through), func() (string, error) {
				ahead, err := w.store.AckMessages(user, through)
				if ahead {
					err = fmt.Errorf("offset %d is ahead of a queue that had it", through)
				}
				return fmt.Sprintf("%s %s %d", markAcked, user, through), err
			})
		}
		select {
		case <-done:
			return
		case <-time.After(w.ReadEvery):
		}
	}
}

// arm activates the faults. Counts in the plan begin now.
func (w *worker) arm() {
	w.armed.Do(func() {
		counts := map[counter]counter{
			ctlWriteAt: ctlWrites, ctlSyncAt: ctlSyncs, ctlOtherAt: ctlOthers, ctlKillAt: ctlOps,
			ctlKillSync: ctlSyncs,
		}
		for _, now := range []bool{false, true} { // first how calls fail, then when
			for word, v := range w.Arm.Set {
				if of, counted := counts[word]; counted != now {
					continue
				} else if counted {
					v += w.ctl.get(of)
				}
				w.ctl.set(word, v)
			}
		}
	})
}

// failed counts an error, and ends the faults after a number of errors.
func (w *worker) failed() {
	if w.HealAfter > 0 && w.errors.Add(1) >= int64(w.HealAfter) {
		w.healed.Do(func() {
			w.ctl.heal()
			w.healedAt.Store(time.Now().UnixMilli())
		})
	}
}

// split cuts a mark into its word, the id and the rest.
func split(r record) (word, id, rest string) {
	if r.op != opMark {
		return "", "", ""
	}
	word, rest, _ = strings.Cut(string(r.data), " ")
	id, rest, _ = strings.Cut(rest, " ")
	return word, id, rest
}

// plenty allows any number of messages.
var plenty = hub.QueueLimits{Messages: 1 << 30, Bytes: 1 << 40}
