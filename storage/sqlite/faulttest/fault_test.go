//go:build linux

package faulttest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// A scenario is a run with a fault, followed by a run without faults on the same folder.
type scenario struct {
	name string
	// plan chooses at random when the fault occurs, and adds it to the first run.
	plan func(rng *rand.Rand, w *workload)
	// unarmed: the fault may be placed where nothing happens.
	unarmed bool
}

const forEver = -1

func atWord(word counter, rng *rand.Rand, within int, more map[counter]int64) map[counter]int64 {
	more[word] = 1 + rng.Int64N(int64(within))
	return more
}

func failWrites(kind int64, errno syscall.Errno, n, filter int64) func(rng *rand.Rand, w *workload) {
	return func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(8)
		w.Arm.After = rng.Int64N(20)
		w.Arm.Set = atWord(ctlWriteAt, rng, 30, map[counter]int64{
			ctlWriteKind: kind, ctlWriteErrno: int64(errno),
			ctlWriteN: n, ctlFilter: filter,
		})
	}
}

func failSyncs(n, evict, filter int64) func(rng *rand.Rand, w *workload) {
	return func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(8)
		if n == forEver && rng.IntN(2) == 0 {
			w.HealAfter, w.GiveUp, w.Requests = 0, 2, 12
		}
		w.Arm.After = rng.Int64N(20)
		within := 8
		if filter == filterMain { // few, because checkpoints are rare
			within = 2
			w.Arm.After = 0
		}
		how := map[counter]int64{ctlSyncErrno: int64(syscall.EIO), ctlSyncN: n, ctlSyncEvict: evict, ctlFilter: filter}
		w.Arm.Set = atWord(ctlSyncAt, rng, within, how)
	}
}

// then adds a kill soon after the fault.
func then(plan func(rng *rand.Rand, w *workload), within int) func(rng *rand.Rand, w *workload) {
	return func(rng *rand.Rand, w *workload) {
		plan(rng, w)
		w.HealAfter = 0
		w.Arm.Set[ctlKillAfter] = 1 + rng.Int64N(int64(within))
	}
}

var scenarios = []scenario{
	{name: "a write to the WAL fails once", plan: failWrites(writeFails, syscall.EIO, 1, filterWAL)},
	{name: "writes to the WAL fail", plan: failWrites(writeFails, syscall.EIO, forEver, filterWAL)},
	{name: "writes to the WAL are torn", plan: failWrites(writeTorn, syscall.EIO, 3, filterWAL)},
	{name: "writes are short", plan: failWrites(writeShort, 0, 20, filterAll)},
	{
		name: "a write to the database fails once", plan: failWrites(writeFails, syscall.EIO, 1, filterMain),
		unarmed: true,
	},
	{name: "writes to the database are torn", plan: failWrites(writeTorn, syscall.EIO, 5, filterMain), unarmed: true},
	{name: "no space for a while", plan: func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(30)
		w.Arm.After = rng.Int64N(20)
		w.Arm.Set = map[counter]int64{ctlSpace: rng.Int64N(100 << 10)}
	}},
	{name: "no space, from the start", plan: func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(30)
		w.Arm.AtStart = true
		w.Arm.Set = map[counter]int64{ctlSpace: rng.Int64N(80 << 10)}
	}},
	{name: "no space, and no end of it", plan: func(rng *rand.Rand, w *workload) {
		w.GiveUp = 2
		w.Requests = 12
		w.Arm.After = rng.Int64N(20)
		w.Arm.Set = map[counter]int64{ctlSpace: rng.Int64N(40 << 10)}
	}},
	{name: "a sync of the WAL fails once", plan: failSyncs(1, 0, filterWAL)},
	{name: "a sync of the WAL fails once, and its pages are gone", plan: failSyncs(1, 1, filterWAL)},
	{name: "syncs of the WAL fail", plan: failSyncs(forEver, 0, filterWAL)},
	{name: "syncs fail, and their pages are gone", plan: failSyncs(forEver, 1, filterAll)},
	{name: "a sync of the database fails once", plan: failSyncs(1, 0, filterMain), unarmed: true},
	{
		name: "a sync of the database fails once, and its pages are gone", plan: failSyncs(1, 1, filterMain),
		unarmed: true,
	},
	{name: "a sync of the database fails once, while many read", plan: func(rng *rand.Rand, w *workload) {
		failSyncs(1, rng.Int64N(2), filterMain)(rng, w)
		w.Readers, w.ReadEvery = w.Users, 0
		w.Arm.After = 10
		w.Arm.Set[ctlSyncAt] = 1
	}},
	{name: "a sync fails, then the process is killed", plan: then(failSyncs(1, 0, filterWAL), 6)},
	{name: "a sync fails, its pages are gone, then the process is killed", plan: then(failSyncs(1, 1, filterWAL), 6)},
	{name: "files cannot be made, cut or removed for a while", plan: func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(4)
		w.Arm.AtStart = true
		w.Arm.Set = atWord(ctlOtherAt, rng, 4, map[counter]int64{ctlOtherErrno: int64(syscall.EIO), ctlOtherN: forEver})
		w.Close = true
	}, unarmed: true},
	{name: "a write fails while the store opens", plan: func(rng *rand.Rand, w *workload) {
		failWrites(writeTorn, syscall.EIO, 1, filterAll)(rng, w)
		w.HealAfter = 1
		w.Arm.AtStart = true
	}},
	{name: "a sync fails while the store opens", plan: func(rng *rand.Rand, w *workload) {
		failSyncs(1, rng.Int64N(2), filterAll)(rng, w)
		w.HealAfter = 1
		w.Arm.AtStart = true
		w.Arm.Set[ctlSyncAt] = 1 + rng.Int64N(4)
	}},
	{name: "the process is killed in a sync", plan: func(rng *rand.Rand, w *workload) {
		w.Arm.After = rng.Int64N(10)
		w.Arm.Set = atWord(ctlKillSync, rng, 15, map[counter]int64{ctlFilter: filterWAL})
	}},
	{name: "the process is killed", plan: func(rng *rand.Rand, w *workload) {
		w.Arm.AtStart = true
		w.Arm.Set = atWord(ctlKillAt, rng, 300, map[counter]int64{})
	}, unarmed: true},
}

// tally counts the attempts.
type tally struct{ runs, injected, kills, errors, points, failures int }

func (a *tally) add(b tally) {
	a.runs += b.runs
	a.injected += b.injected
	a.kills += b.kills
	a.errors += b.errors
	a.points += b.points
	a.failures += b.failures
}

func (a tally) String() string {
	return fmt.Sprintf("%d runs: %d faults injected, %d kills, %d errors told, %d power losses; %d failures",
		a.runs, a.injected, a.kills, a.errors, a.points, a.failures)
}

// play runs a scenario once. It returns what is wrong, and the power losses that failed.
func (sc scenario) play(tr *trial, points int) (n tally, failures []string, lost []verdict) {
	rng := tr.rng(0, 3)
	first := tr.w
	first.Close = rng.IntN(2) == 0
	sc.plan(rng, &first)
	tr.ctl.set(ctlDelay, syncTakes/3)
	records := tr.run(first)
	n = tally{runs: 1, injected: int(tr.ctl.get(ctlInjected)), points: points}
	failures = silence(records)
	for _, r := range records {
		if isTrouble(r) {
			n.errors++
		} else if r.op == opKill {
			n.kills++
		}
	}

	// A restart. Everything accepted must be there before and after it.
	tr.ctl.heal()
	if err := tr.checkRestart(); err != nil {
		failures = append(failures, fmt.Sprintf("after a restart: %v", err))
	}
	l, err := newLedger(tr.w, tr.records())
	must(tr.t, err)
	second := tr.w
	second.Next, second.Requests, second.Close = l.next(), 5, rng.IntN(2) == 0
	records = tr.run(second)
	failures = append(failures, silence(records)...)
	if i := slices.IndexFunc(records, isTrouble); i >= 0 {
		failures = append(failures, fmt.Sprintf("the run after it, on a disk that works: %s", records[i].data))
	}
	if err := tr.checkRestart(); err != nil {
		failures = append(failures, fmt.Sprintf("after a second restart: %v", err))
	}
	from := max(0, slices.IndexFunc(tr.records(), func(r record) bool { return r.op == opFault || r.op == opKill }))
	lost = tr.crash(from, points)
	n.failures = len(failures) + len(lost)
	return n, failures, lost
}

func isTrouble(r record) bool {
	word, _, _ := split(r)
	return word == markError || word == markFailed
}

// silence returns the callers that got no answer although the process lived, and those that did not recover.
func silence(records []record) (failures []string) {
	waiting := map[string]bool{}
	for _, r := range records {
		switch word, id, rest := split(r); {
		case r.op == opKill:
			return failures
		case word == markTry || word == markAcking:
			waiting[id] = true
		case word == markOK || word == markAcked || word == markError:
			delete(waiting, id)
		case word == markSilent || word == markStuck:
			failures = append(failures, fmt.Sprintf("%s: %s %s", word, id, rest))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(waiting)) {
		failures = append(failures, "no answer for "+id)
	}
	return failures
}

// TestFaults plays every scenario; the quick run plays each third one.
func TestFaults(t *testing.T) {
	seed := newSeed(t)
	all := make([]tally, len(scenarios))
	for round := range rounds(t) {
		for i, sc := range scenarios {
			if testing.Short() && i%3 != 1 {
				continue
			}
			t.Run(sc.name, func(t *testing.T) {
				tr := newTrial(t, busy(full, seed+uint64(i)*1000003+round), past{})
				n, failures, lost := sc.play(tr, 8)
				all[i].add(n)
				for _, f := range failures {
					t.Errorf("trial seed %d: %s", tr.w.Seed, f)
				}
				tr.report(lost)
			})
		}
	}
	var sum tally
	for i, sc := range scenarios {
		if all[i].runs == 0 {
			continue // go test asked for others
		}
		t.Logf("%s: %v", sc.name, all[i])
		if all[i].injected+all[i].kills == 0 && !sc.unarmed {
			t.Errorf("%s: nothing was injected", sc.name)
		}
		sum.add(all[i])
	}
	t.Logf("in all: %v", sum)
}

// TestFaultsAreSeen is the control: a store that does not settle its write-ahead log at opening loses accepted
// messages, and the tests must detect that.
func TestFaultsAreSeen(t *testing.T) {
	hubtest.Full(t, "faults below SQLite for long")
	seed := newSeed(t)
	for _, name := range []string{"a sync fails, then the process is killed", "the process is killed in a sync"} {
		sc := scenarios[slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == name })]
		for round := range uint64(50) {
			seen := false
			t.Run(name, func(t *testing.T) {
				if _, _, lost := sc.play(newTrial(t, busy(unsettled, seed+round), past{}), 16); len(lost) > 0 {
					t.Logf("seen in round %d, as it should be: %v", round+1, lost[0].err)
					seen = true
				}
			})
			if seen {
				break
			} else if round == 49 {
				t.Errorf("%s: nothing was lost: these tests see nothing", name)
			}
		}
	}
}
