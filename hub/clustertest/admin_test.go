package clustertest

import (
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// allStreams exceeds the number of streams of a history.
const allStreams = 1000

// admin reads lists and the state of health on random nodes.
func (w *world) admin(_ int, rng *rand.Rand) {
	own := child(rng)
	w.work.Go(func() {
		for w.pause(own, 4*time.Second) {
			w.lookAround(own)
		}
	})
	w.checks = append(w.checks, w.checkAdmin)
}

// lookAround asks one node for the streams of all users, and every node for its health.
func (w *world) lookAround(rng *rand.Rand) {
	on, done := w.use(rng)
	q := hub.StreamQuery{All: true, Limit: 1 + rng.IntN(4)}
	if rng.IntN(2) == 0 {
		q.Status = hub.StatusRunning
	}
	w.checkList(on, q, on.ListStreams(q))
	done()
	for _, n := range w.all() {
		if n.enter() {
			w.checkDegraded(n)
			n.users.Done()
		}
	}
}

// checkDegraded checks that a node reports itself degraded once it was cut off for longer than its lease, and never in
// a history without such faults.
func (w *world) checkDegraded(n *node) {
	cutFor := n.cutFor()
	why := n.Degraded()
	switch {
	case len(why) == 0 && cutFor > w.lease+w.lease/2 && n.cutFor() >= cutFor: // it is still cut off
		w.failf("%s was cut off for %v, and says that all is well", n.name, cutFor)
	case len(why) > 0 && !w.deathEver():
		w.failf("%s says that it is degraded, and nothing was wrong: %q", n.name, why)
	}
}

// checkList checks limit, order, filter and uniqueness of a list of all users' streams.
func (w *world) checkList(on *node, q hub.StreamQuery, list []hub.StreamSummary) {
	if len(list) > q.Limit {
		w.failf("%s lists %d streams, and was asked for %d", on.name, len(list), q.Limit)
	}
	there := make(map[string]bool)
	for i := range list {
		s := &list[i]
		switch {
		case there[s.ID]:
			w.failf("%s lists %s twice", on.name, s.ID)
		case q.Status != "" && s.State.Status != q.Status:
			w.failf("%s lists %s, which is %s, among those that are %s", on.name, s.ID, s.State.Status, q.Status)
		case i > 0 && s.State.Timings.Created.After(list[i-1].State.Timings.Created):
			w.failf("%s lists %s behind the older %s", on.name, s.ID, list[i-1].ID)
		case len(s.State.Text) > 0:
			w.failf("%s lists %s with its text", on.name, s.ID)
		}
		there[s.ID] = true
	}
}

// checkAdmin checks after recovery that every node lists the streams that each node owns.
func (w *world) checkAdmin() {
	for _, n := range w.all() {
		if why := n.Degraded(); len(why) > 0 {
			w.failf("%s is still degraded when all is whole: %q", n.name, why)
		}
		q := hub.StreamQuery{All: true, Limit: allStreams}
		list := n.ListStreams(q)
		w.checkList(n, q, list)
		listed := make(map[string]hub.Status)
		for i := range list {
			listed[list[i].ID] = list[i].State.Status
		}
		for _, other := range w.all() {
			err := other.store.Load(func(rec *hub.StreamRecord) error {
				if got, there := listed[rec.ID]; !there || got != rec.Status {
					w.failf("%s owns %s, which is %s, and %s lists it as %q", other.name, rec.ID, rec.Status, n.name, got)
				}
				return nil
			})
			if err != nil {
				w.failf("the streams of %s cannot be read when all is whole: %v", other.name, err)
			}
		}
	}
}
