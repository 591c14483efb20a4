package clustertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// polled is a stream that two instances of one producer write, each fencing the other. Another producer tries to write
// it, and clients poll it rather than follow it.
func (w *world) polled(i int, rng *rand.Rand) {
	m := w.newStreamModel(fmt.Sprintf("rival%d", i))
	m.id, m.script = fmt.Sprintf("polled%d", i), inOrder
	for range 2 {
		own := child(rng)
		w.work.Go(func() { m.compete(own) })
	}
	for range 1 + rng.IntN(2) {
		own := child(rng)
		w.work.Go(func() { m.poll(own) })
	}
	own := child(rng)
	w.work.Go(func() { m.intrude(own) })
	w.checks = append(w.checks, m.checkLists, m.check)
}

// compete writes pieces as produce does. It notices the other instance only when it is fenced.
func (m *streamModel) compete(rng *rand.Rand) {
	w := m.w
	w.rest(rng, 10*time.Second)
	if !m.create(rng) {
		return
	}
	m.mu.Lock()
	m.made = true
	m.mu.Unlock()
	ref := hub.ProducerRef{ID: "p", Epoch: 1 + rng.Int64N(2)}
	for ending := false; !ending; {
		ending = !w.pause(rng, 3*time.Second)
		if !m.request(rng, &ref, ending) {
			return
		}
	}
}

// intrude sends empty requests as another producer. They must be refused while the first producer holds the stream.
func (m *streamModel) intrude(rng *rand.Rand) {
	w := m.w
	for w.pause(rng, 8*time.Second) {
		if len(m.acknowledged()) == 0 {
			continue
		}
		on, done := w.use(rng)
		s, err := on.Stream(m.owner, m.id)
		var a *hub.Appender
		if err == nil {
			begin := s.AppendWhole
			if rng.IntN(2) == 0 && w.haste == 1 {
				begin = s.Append
			}
			if a, err = begin(hub.ProducerRef{ID: "q"}); err == nil {
				_, err = a.End(nil)
			}
		}
		done()
		w.tracef("%s: a stranger writes on %s: %v", m.id, on.name, err)
		known := errors.As(err, new(*hub.LeaseError)) || errors.As(err, new(*hub.FencedError)) ||
			errors.As(err, new(*hub.EndedError)) || errors.As(err, new(*hub.GapError)) ||
			errors.Is(err, errs.ErrNotFound) || passing(err)
		switch {
		case err == nil && !w.deathEver():
			w.failf("%s: a stranger is let write on %s", m.id, on.name)
		case err != nil && !known:
			w.failf("%s: a stranger is told on %s: %v", m.id, on.name, err)
		}
	}
}

// acknowledged returns the accepted pieces, with the times of their requests.
func (m *streamModel) acknowledged() map[string]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := make(map[string]time.Time, len(m.taken))
	for piece, at := range m.taken {
		taken[piece] = at
	}
	return taken
}

// healing is how long after a fault a node may be unaware that it has lost streams: until its next beat, and its next
// save of such a stream.
const healing = 15 * time.Second

// quiet reports whether no fault is in progress, or ended within the healing time.
func (w *world) quiet() bool { return !w.troubledFor(healing) }

// troubledFor reports whether there was a fault within the last d. Delayed and repeated messages do not count.
func (w *world) troubledFor(d time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := time.Now().Add(-w.scaled(d))
	return slices.ContainsFunc(w.spans, func(s span) bool {
		return s.kind != late && s.kind != twice && (s.to.IsZero() || s.to.After(since))
	})
}

// poll reads the text on random nodes. In quiet times it must contain everything that was accepted before the call.
func (m *streamModel) poll(rng *rand.Rand) {
	w := m.w
	seen, when := 0, time.Time{} // the length of the last text, and when it was read
	for w.pause(rng, 4*time.Second) {
		on, done := w.use(rng)
		had, quiet := m.acknowledged(), w.quiet()
		list := on.ListStreams(hub.StreamQuery{Owner: m.owner, Limit: 10}) // before Stream makes the node know the stream
		s, err := on.Stream(m.owner, m.id)
		byByte := rng.IntN(2) == 0
		if err == nil {
			if byByte {
				err = s.CatchUpToByte(seen)
			} else {
				err = s.Refresh()
			}
		}
		var text string
		if err == nil {
			text = string(s.State().Text)
		}
		done()
		w.tracef("%s is polled on %s: %d bytes, %v", m.id, on.name, len(text), err)
		quiet = quiet && w.quiet()
		switch {
		case errors.Is(err, errs.ErrNotFound):
			m.checkThere(on, had, quiet, "not found")
			continue
		case passing(err):
			continue
		case err != nil:
			w.failf("%s is polled on %s: %v", m.id, on.name, err)
			continue
		}
		if !slices.ContainsFunc(list, func(s hub.StreamSummary) bool { return s.ID == m.id }) {
			m.checkThere(on, had, quiet, "not in its owner's list")
		}
		if err := m.script(text); err != nil {
			w.failf("%s on %s: %v", m.id, on.name, err)
		}
		if byByte {
			// A text that the store and its owner have lost may still be read from mirrors, until they know.
			if quiet && !w.deathNear(when) && !w.lossAfter(w.begun) && len(text) < seen {
				w.failf("%s has %d bytes on %s, and had %d before, elsewhere", m.id, len(text), on.name, seen)
			}
		} else {
			for piece, at := range had {
				kept := quiet && !w.deathNear(at) && !w.lossAfter(at)
				if kept && !strings.Contains(";"+text, ";"+piece) {
					w.failf("%s: %s was answered with success before the text was asked for on %s, and is not in it",
						m.id, piece, on.name)
				}
			}
		}
		seen, when = len(text), time.Now()
	}
}

// checkThere fails if a node lacks a stream that it must know.
func (m *streamModel) checkThere(on *node, had map[string]time.Time, quiet bool, what string) {
	for piece, at := range had {
		if quiet && !m.w.deathNear(at) && !m.w.lossAfter(at) {
			m.w.failf("%s is %s on %s, and %s was answered with success before", m.id, what, on.name, piece)
			return
		}
	}
}

// checkLists compares each node's lists of the owner's streams with the stream's status. It runs before check, which
// makes every node know the stream.
func (m *streamModel) checkLists() {
	w := m.w
	for _, n := range w.all() {
		lists := make(map[hub.Status][]hub.StreamSummary)
		statuses := []hub.Status{
			"", hub.StatusQueued, hub.StatusRunning, hub.StatusDone, hub.StatusInterrupted, hub.StatusCancelled,
		}
		for _, status := range statuses {
			lists[status] = n.ListStreams(hub.StreamQuery{Owner: m.owner, Status: status, Limit: 10})
		}
		s, err := n.Stream(m.owner, m.id)
		if err != nil {
			continue // check reports it
		}
		for _, status := range statuses {
			want := 0
			if status == "" || status == s.Status() {
				want = 1
			}
			list := lists[status]
			if len(list) != want {
				w.failf("%s is %s on %s, which lists %d of its owner's streams as %q", m.id, s.Status(), n.name, len(list), status)
			}
			for i := range list {
				if list[i].ID != m.id || list[i].Owner != m.owner {
					w.failf("%s of %s is in the list of %s", list[i].ID, list[i].Owner, m.owner)
				}
			}
		}
		if held, err := s.WasAssignedTo("w"); held || err != nil {
			w.failf("%s is said to be a worker's on %s: %t, %v", m.id, n.name, held, err)
		}
	}
}
