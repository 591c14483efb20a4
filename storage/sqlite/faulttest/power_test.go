//go:build linux

package faulttest

import (
	"math"
	"testing"
)

func busy(store string, seed uint64) workload {
	return workload{Store: store, Seed: seed, Users: 3, Next: []int{1, 1, 1, 1, 1, 1}, Messages: 30, Large: 12}
}

// TestPowerLossIsSeen is the control: what is known to lose messages must be seen to.
func TestPowerLossIsSeen(t *testing.T) {
	seed := newSeed(t)
	for _, store := range []string{plainNormal, plainOff} {
		t.Run(store, func(t *testing.T) {
			tr := newTrial(t, seed, nil)
			tr.ctl.set(ctlDelay, 1000)
			w := busy(store, seed)
			tr.run(w)
			failures := tr.crash(w, 0, -1, 30)
			if len(failures) == 0 {
				t.Fatal("nothing was lost: these tests see nothing")
			}
			t.Logf("seen at %d of 30 points, as it should be, such as: %v", len(failures), failures[0].err)
		})
	}
}

// powerLosses is how many moments of a life are tried.
const powerLosses = 40

// TestPowerLoss loses power at many moments of a busy life; and again, of the lives that begin with what that left.
func TestPowerLoss(t *testing.T) {
	seed := newSeed(t)
	points, records := 0, 0
	for round := range uint64(rounds(t)) {
		for life := range uint64(3) {
			seed := seed + round*100 + life*10
			var from *image
			var prior *ledger
			for generation := range uint64(2) {
				tr := newTrial(t, seed+generation, from)
				tr.prior = prior
				tr.ctl.set(ctlDelay, 1000)
				w := busy(target, seed)
				w.Next = prior.until(math.MaxInt).next(len(w.Next))
				w.Close = (life+generation)%2 == 0
				tr.run(w)
				tr.report(w, tr.crash(w, 0, -1, powerLosses))
				points += powerLosses
				records += tr.next
				from, prior = tr.image()
			}
		}
	}
	t.Logf("%d power losses in %d lives of %d calls and messages", points, rounds(t)*6, records)
}
