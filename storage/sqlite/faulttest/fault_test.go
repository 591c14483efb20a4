//go:build linux

package faulttest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A scenario is a fault, in a run that a second one follows on the same folder, with a disk that works.
type scenario struct {
	name string
	// plan draws where the fault falls and adds it to the first run.
	plan func(rng *rand.Rand, w *workload)
	// unarmed: chance may put the fault where nothing happens.
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
		w.Arm.Set = atWord(ctlWriteAt, rng, 30, map[counter]int64{ctlWriteKind: kind, ctlWriteErrno: int64(errno), ctlWriteN: n, ctlFilter: filter})
	}
}

func failSyncs(n, evict, filter int64) func(rng *rand.Rand, w *workload) {
	return func(rng *rand.Rand, w *workload) {
		w.HealAfter = 1 + rng.IntN(8)
		if n == forEver && rng.IntN(2) == 0 {
			w.HealAfter, w.GiveUp, w.Messages = 0, 2, 12
		}
		w.Arm.After = rng.Int64N(20)
		within := 8
		if filter == filterMain { // few, for checkpoints are
			within = 2
			w.Arm.After = 0
		}
		w.Arm.Set = atWord(ctlSyncAt, rng, within, map[counter]int64{ctlSyncErrno: int64(syscall.EIO), ctlSyncN: n, ctlSyncEvict: evict, ctlFilter: filter})
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
	{name: "a write to the database fails once", plan: failWrites(writeFails, syscall.EIO, 1, filterMain), unarmed: true},
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
		w.Messages = 12
		w.Arm.After = rng.Int64N(20)
		w.Arm.Set = map[counter]int64{ctlSpace: rng.Int64N(40 << 10)}
	}},
	{name: "a sync of the WAL fails once", plan: failSyncs(1, 0, filterWAL)},
	{name: "a sync of the WAL fails once, and its pages are gone", plan: failSyncs(1, 1, filterWAL)},
	{name: "syncs of the WAL fail", plan: failSyncs(forEver, 0, filterWAL)},
	{name: "syncs fail, and their pages are gone", plan: failSyncs(forEver, 1, filterAll)},
	{name: "a sync of the database fails once", plan: failSyncs(1, 0, filterMain), unarmed: true},
	{name: "a sync of the database fails once, and its pages are gone", plan: failSyncs(1, 1, filterMain), unarmed: true},
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

// tally counts what was tried.
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
	return fmt.Sprintf("%d runs: %d faults injected, %d kills, %d errors told to publishers, %d power losses; %d failures", a.runs, a.injected, a.kills, a.errors,
		a.points, a.failures)
}

// play runs a scenario once. It returns what is wrong; the t of tr fails only when the harness does.
func (sc scenario) play(tr *trial, store string, points int) (n tally, failures []string, w workload, lost []verdict) {
	rng := tr.rng(0, 1)
	w = busy(store, tr.seed)
	w.Messages = 20
	w.Close = rng.IntN(2) == 0
	first := w
	sc.plan(rng, &first)
	tr.ctl.set(ctlDelay, 300)
	records := tr.run(first)
	n = tally{runs: 1, injected: int(tr.ctl.get(ctlInjected))}
	failures = append(failures, silence(records)...)
	for _, r := range records {
		if word, _, _ := split(r); r.op == opMark && (word == markError || word == markFailed) {
			n.errors++
		} else if r.op == opKill {
			n.kills++
		}
	}

	// A restart, before and after which everything accepted is there.
	tr.ctl.heal()
	if err := tr.checkCopy(w, tr.ledger()); err != nil {
		failures = append(failures, fmt.Sprintf("after a restart: %v", err))
	}
	second := w
	second.Next = tr.ledger().next(len(w.Next))
	second.Messages = 5
	records = tr.run(second)
	failures = append(failures, silence(records)...)
	if i := slices.IndexFunc(records, isTrouble); i >= 0 {
		failures = append(failures, fmt.Sprintf("the run after it, on a disk that works: %s", records[i].data))
	}
	if err := tr.checkCopy(w, tr.ledger()); err != nil {
		failures = append(failures, fmt.Sprintf("after a second restart: %v", err))
	}
	from := max(0, slices.IndexFunc(tr.records(), func(r record) bool { return r.op == opFault || r.op == opKill }))
	n.points = points
	lost = tr.crash(w, from, -1, points)
	n.failures = len(failures) + len(lost)
	return n, failures, w, lost
}

func isTrouble(r record) bool {
	word, _, _ := split(r)
	return r.op == opMark && (word == markError || word == markFailed)
}

// silence returns the tries that got no answer although the process lived, and the publishers that found no way back.
func silence(records []record) (failures []string) {
	waiting := map[string]bool{}
	for _, r := range records {
		switch word, id, rest := split(r); {
		case r.op == opKill:
			return failures
		case r.op != opMark:
		case word == markTry:
			waiting[id] = true
		case word == markOK || word == markError:
			delete(waiting, id)
		case word == markSilent || word == markStuck:
			failures = append(failures, fmt.Sprintf("%s: %s %s", word, id, rest))
		}
	}
	for _, id := range sortedKeys(waiting) {
		failures = append(failures, "no answer for "+id)
	}
	return failures
}

// checkCopy restarts on a copy of the folder as the processes left it.
func (tr *trial) checkCopy(w workload, l *ledger) error {
	dir := tr.t.TempDir()
	entries, err := os.ReadDir(tr.dir)
	must(tr.t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") || !e.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(tr.dir, e.Name()))
		must(tr.t, err)
		must(tr.t, os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600))
	}
	return l.check(w, dir, len(tr.records()))
}

// TestFaults plays every scenario with the store.
func TestFaults(t *testing.T) {
	seed := newSeed(t)
	var all tally
	for i, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			var mine tally
			for round := range uint64(rounds(t)) {
				tr := newTrial(t, seed+uint64(i)*1000003+round, nil)
				n, failures, w, lost := sc.play(tr, target, 8)
				mine.add(n)
				for _, f := range failures {
					t.Errorf("trial seed %d: %s", tr.seed, f)
				}
				tr.report(w, lost)
			}
			t.Log(mine)
			if mine.injected+mine.kills == 0 && !sc.unarmed {
				t.Error("nothing was injected")
			}
			all.add(mine)
		})
	}
	t.Log(all)
}

// TestFaultsAreSeen is the control: a store that does not settle its log when it opens loses what it accepted, and that must come to light.
func TestFaultsAreSeen(t *testing.T) {
	seed := newSeed(t)
	for _, name := range []string{"a sync fails, then the process is killed", "the process is killed in a sync"} {
		t.Run(name, func(t *testing.T) {
			sc := scenarios[slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == name })]
			for round := range uint64(40) {
				if _, _, _, lost := sc.play(newTrial(t, seed+round, nil), plainUnsettled, 8); len(lost) > 0 {
					t.Logf("seen in round %d, as it should be: %v", round+1, lost[0].err)
					return
				}
			}
			t.Error("nothing was lost: these tests see nothing")
		})
	}
}
