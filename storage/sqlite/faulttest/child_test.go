//go:build linux

package faulttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// workload is what a child does: publishers write to users, each one message after the other, and say in the log what they try and what the
// store answers.
type workload struct {
	Store, Dir, Log, Control string

	Seed      uint64
	Users     int
	Next      []int // of each publisher, the number of its first message
	Messages  int   // of each publisher
	Large     int   // one of so many is some pages long
	Close     bool  // rather than to end as a killed process does
	GiveUp    int   // errors after which a publisher takes the next message; 0: it tries for ever
	Arm       arm
	HealAfter int // errors after which the faults end; 0: never
}

// arm sets words of the control page once so many messages are accepted; counts there are from that moment.
type arm struct {
	AtStart bool // before the store opens
	After   int64
	Set     map[counter]int64
}

// The words of a mark.
const (
	markOpening = "opening"
	markOpened  = "opened"
	markFailed  = "failed" // to open
	markTry     = "try"
	markOK      = "ok"
	markError   = "error"
	markSilent  = "silent"
	markStuck   = "stuck" // errors long after the faults ended
	markHealed  = "healed"
	markEnd     = "end"
)

const childEnv = "FAULTTEST_WORKLOAD"

// patience is how long a publisher may be left without an answer.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if w := os.Getenv(childEnv); w != "" {
		os.Exit(child(w))
	}
	code := m.Run()
	if shimDir != "" {
		os.RemoveAll(shimDir)
	}
	os.Exit(code)
}

type worker struct {
	workload
	marker
	ctl      control
	store    store
	accepted atomic.Int64
	errors   atomic.Int64
	armed    sync.Once
	healed   sync.Once
	healedAt atomic.Int64
}

func child(config string) int {
	w := &worker{}
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
	settle.Open = w.openGoFile
	if w.Arm.AtStart {
		w.arm()
	}
	w.mark(markOpening)
	for w.store == nil {
		if w.store, err = stores[w.Store](w.Dir); err == nil {
			break
		}
		w.mark("%s %v", markFailed, err)
		if !w.failed() {
			return 0
		}
	}
	w.mark(markOpened)
	if w.Arm.After == 0 && !w.Arm.AtStart {
		w.arm()
	}
	w.publishAll()
	if w.Close {
		if err := w.store.close(); err != nil {
			w.mark("%s close: %v", markError, err)
		}
	}
	w.mark(markEnd)
	return 0
}

func (w *worker) publishAll() {
	since := make([]atomic.Int64, len(w.Next)) // when each publisher began to wait
	go func() {
		for range time.Tick(patience / 20) {
			for p := range since {
				if t := since[p].Load(); t != 0 && time.Since(time.UnixMilli(t)) > patience {
					w.mark("%s p%d", markSilent, p)
					os.Exit(0)
				}
			}
		}
	}()
	var all sync.WaitGroup
	for p, first := range w.Next {
		all.Go(func() {
			for n := first; n < first+w.Messages; n++ {
				w.publishOne(p, n, &since[p])
			}
		})
	}
	all.Wait()
}

func (w *worker) publishOne(p, n int, since *atomic.Int64) {
	m := w.message(p, n)
	for tries := 1; ; tries++ {
		w.mark("%s %s", markTry, m.id)
		since.Store(time.Now().UnixMilli())
		err := w.store.publish(m.user, m.publisher, m.id, m.payload)
		since.Store(0)
		if err == nil {
			w.mark("%s %s", markOK, m.id)
			if w.accepted.Add(1) >= w.Arm.After && !w.Arm.AtStart {
				w.arm()
			}
			return
		}
		w.mark("%s %s %v", markError, m.id, err)
		w.failed()
		if at := w.healedAt.Load(); at != 0 && time.Since(time.UnixMilli(at)) > patience/2 {
			w.mark("%s %s %v", markStuck, m.id, err)
			os.Exit(0)
		}
		if tries == w.GiveUp {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *worker) arm() {
	w.armed.Do(func() {
		counts := map[counter]counter{ctlWriteAt: ctlWrites, ctlSyncAt: ctlSyncs, ctlOtherAt: ctlOthers, ctlKillAt: ctlOps, ctlKillSync: ctlSyncs}
		at := map[counter]bool{}
		for word, v := range w.Arm.Set {
			if counts[word] == 0 {
				w.ctl.set(word, v)
			} else {
				at[word] = true
			}
		}
		for word := range at {
			w.ctl.set(word, w.Arm.Set[word]+w.ctl.get(counts[word]))
		}
	})
}

// failed counts an error, ends the faults when it is time, and tells whether they have an end.
func (w *worker) failed() bool {
	if w.HealAfter > 0 && w.errors.Add(1) >= int64(w.HealAfter) {
		w.healed.Do(func() {
			w.ctl.heal()
			w.mark(markHealed)
			w.healedAt.Store(time.Now().UnixMilli())
		})
	}
	return w.HealAfter > 0
}

// sent is a message that follows from the seed alone.
type sent struct {
	user string
	message
}

func (w workload) message(p, n int) sent {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(p)<<32|uint64(n)))
	size := 20 + rng.IntN(300)
	if w.Large > 0 && rng.IntN(w.Large) == 0 {
		size = 3000 + rng.IntN(12000)
	}
	id := fmt.Sprintf("p%d-%d", p, n)
	head := fmt.Sprintf(`{"id":%q,"sum":"%x","text":"`, id, sha256.Sum256([]byte(id)))
	text := bytes.Repeat([]byte(fmt.Sprintf("%016x ", rng.Uint64())), size/17+1)[:size]
	return sent{fmt.Sprintf("user%d", rng.IntN(w.Users)), message{fmt.Sprintf("p%d", p), id, []byte(head + string(text) + `"}`)}}
}

// split cuts a mark into its word, the id and the rest.
func split(r record) (word, id, rest string) {
	word, rest, _ = strings.Cut(string(r.data), " ")
	id, rest, _ = strings.Cut(rest, " ")
	return word, id, rest
}
