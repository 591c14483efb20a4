package clustertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// revocation is an admin who revokes one token and sometimes lifts the revocation, and clients that use the token.
func (w *world) revocation(i int, rng *rand.Rand) {
	m := &revocationModel{w: w, id: fmt.Sprintf("token%d", i)}
	own := child(rng)
	w.work.Go(func() { m.run(own) })
	w.checks = append(w.checks, m.check)
}

type revocationModel struct {
	w       *world
	id      string
	revoked bool // the last successful answer
	at      time.Time
	unclear bool // a lifting failed, and may have been executed all the same
}

func (m *revocationModel) run(rng *rand.Rand) {
	for m.w.pause(rng, 6*time.Second) {
		on, done := m.w.use(rng)
		if !m.revoked || m.unclear || rng.IntN(4) > 0 {
			begun := time.Now()
			one, err := on.revoked.RevokeToken(m.id, time.Time{})
			if err == nil || errors.Is(err, errs.ErrUnavailable) { // it is in force: the server tells the other nodes even then
				on.tell("revoke", one, err != nil)
			}
			m.w.tracef("%s is revoked on %s: %v", m.id, on.name, err)
			if !on.revoked.Revoked(m.identity()) && !m.w.lossAfter(begun) {
				m.w.failf("%s was revoked on %s (%v), and holds there", m.id, on.name, err)
			}
			if err == nil {
				m.revoked, m.unclear, m.at = true, false, begun
			}
		} else {
			one, err := on.revoked.Lift("", m.id)
			if err == nil {
				on.tell("lift", one, false)
			}
			m.w.tracef("%s is lifted on %s: %v", m.id, on.name, err)
			m.unclear = true // a node that was not told still has it, and may spread it again
		}
		done()
	}
}

func (m *revocationModel) identity() *rights.Identity {
	return &rights.Identity{User: "u", TokenID: m.id}
}

func (m *revocationModel) check() {
	if !m.revoked || m.unclear || m.w.lossForGoodAfter(m.at) {
		return
	}
	for _, n := range m.w.all() {
		if !n.revoked.Revoked(m.identity()) {
			m.w.failf("%s was revoked with success at %v, and holds on %s", m.id, m.at.Sub(m.w.begun), n.name)
		}
	}
}
