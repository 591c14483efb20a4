//go:build linux

package faulttest

import (
	"fmt"
	"testing"
)

// powerLosses is how many moments of a run are tried.
const powerLosses = 40

// syncTakes is the maximum duration of a sync in microseconds, so that other calls occur during it.
const syncTakes = 1000

// TestPowerLoss simulates power losses at many moments of a run under load; and again for a run that begins with a
// result of that.
func TestPowerLoss(t *testing.T) {
	seed := newSeed(t)
	var lives, points, records int
	most := uint64(3)
	if testing.Short() {
		most = 1
	}
	for round := range rounds(t) {
		for life := range most {
			t.Run(fmt.Sprintf("life %d", life), func(t *testing.T) {
				w := busy(full, seed+round*100+life*10)
				var p past
				for generation := range uint64(2) {
					l, err := newLedger(w, p.marks)
					must(t, err)
					w.Next = l.next()
					w.Close = (life+generation)%2 == 0
					tr := newTrial(t, w, p)
					tr.ctl.set(ctlDelay, syncTakes)
					tr.run(w)
					tr.report(tr.crash(tr.before, powerLosses))
					lives, points, records = lives+1, points+powerLosses, records+tr.seen-tr.before
					p = tr.past()
				}
			})
		}
	}
	t.Logf("%d power losses in %d lives of %d calls and messages", points, lives, records)
}

// TestPowerLossIsSeen is the control: configurations that are known to lose messages must be detected.
func TestPowerLossIsSeen(t *testing.T) {
	seed := newSeed(t)
	for name, w := range map[string]workload{
		"durability normal": busy(normal, seed),
		"a disk that lies":  busy(full, seed),
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTrial(t, w, past{})
			tr.ctl.set(ctlDelay, syncTakes)
			if w.Store == full {
				tr.ctl.set(ctlLie, 1)
			}
			tr.run(w)
			failures := tr.crash(tr.before, powerLosses)
			if len(failures) == 0 {
				t.Fatal("nothing was lost: these tests see nothing")
			}
			t.Logf("seen at %d of %d points, as it should be, such as: %v", len(failures), powerLosses, failures[0].err)
		})
	}
}
