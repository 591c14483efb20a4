package clustertest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/storage/memory"
)

// How many histories there are: the first in the quick run, all in the others.
const (
	quickHistories = 100
	allHistories   = 10_000
)

// seedVariable names one seed to be replayed, with its trace. What goroutines do at the same moment is the scheduler's
// to say, so a replay may need several turns: -count repeats it.
const seedVariable = "DUCKWIRE_SEED"

// simplifying is how many times a history that fails is tried without one of its parts.
const simplifying = 60

func TestHistories(t *testing.T) {
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlan(seed)
		t.Log(p)
		faults, trace := inBubble(t, p)
		t.Log("\n" + strings.Join(trace, "\n"))
		for _, fault := range faults {
			t.Error(fault)
		}
		return
	}
	n := uint64(*histories)
	if testing.Short() {
		n = min(n, quickHistories)
	}
	seeds := make(chan uint64)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for seed := range seeds {
				t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { history(t, seed) })
			}
		})
	}
	for seed := uint64(*first); seed < uint64(*first)+n; seed++ {
		if t.Failed() && !*keepOn {
			break
		}
		seeds <- seed
	}
	close(seeds)
	work.Wait()
}

var (
	histories = flag.Uint("histories", allHistories, "how many histories are run")
	first     = flag.Uint("first", 0, "the seed of the first history")
	keepOn    = flag.Bool("keep-on", false, "run all of them, whatever fails")
)

// history lets one happen. One that fails is told as simple as it can be made.
func history(t *testing.T, seed uint64) {
	p := newPlan(seed)
	faults, trace := inBubble(t, p)
	if len(faults) == 0 {
		return
	}
	tries := simplifying
	for simpler := true; simpler && tries > 0; {
		simpler = false
		for _, q := range p.without() {
			if tries--; tries < 0 {
				break
			}
			if f, tr := inBubble(t, q); len(f) > 0 {
				p, faults, trace, simpler = q, f, tr, true
				break
			}
		}
	}
	t.Errorf("%s=%d go test ./hub/clustertest replays it; simplified:\n%s\n%s\n\n%s", seedVariable, seed, p,
		strings.Join(faults, "\n"), strings.Join(trace, "\n"))
}

// stuck is how much real time a history may take. One takes some milliseconds: time stands still where somebody asks
// again and again without a pause, or waits for a mutex whose holder waits.
const stuck = time.Minute

// inBubble lets a history happen on a clock of its own.
func inBubble(t *testing.T, p *plan) (faults, trace []string) {
	late := time.AfterFunc(stuck, func() {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		panic(fmt.Sprintf("the history hangs: %s", p))
	})
	defer late.Stop()
	synctest.Test(t, func(*testing.T) { faults, trace = run(p, newMemory(p), 1) })
	return faults, trace
}

var _ store = (*memory.Node)(nil)
