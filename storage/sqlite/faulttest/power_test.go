//go:build linux

package faulttest

import "testing"

func busy(store string, seed uint64) workload {
	return workload{Store: store, Seed: seed, Users: 3, Next: []int{1, 1, 1, 1, 1, 1}, Messages: 30, Large: 12}
}

// TestPowerLossOfPlainStores is the control: what is known to lose messages must be seen to.
func TestPowerLossOfPlainStores(t *testing.T) {
	seed := newSeed(t)
	for store, sound := range map[string]bool{"plain FULL": true, "plain NORMAL": false, "plain OFF": false} {
		t.Run(store, func(t *testing.T) {
			tr := newTrial(t, seed, nil)
			tr.ctl.set(ctlDelay, 1000)
			w := busy(store, seed)
			tr.run(w)
			failures := tr.crash(w, 0, -1, 60)
			t.Logf("%d of 60 crash points lost something, in %d records", len(failures), tr.next)
			if sound {
				tr.report(w, failures)
			} else if len(failures) == 0 {
				t.Error("nothing was lost: these tests see nothing")
			}
			for i, f := range failures {
				if i < 6 {
					t.Logf("%d (%v): %v", f.point, f.way, f.err)
				}
			}
		})
	}
}
