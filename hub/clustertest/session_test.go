package clustertest

import (
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// session is a user with connections to several nodes, and an admin who reads the overview of all nodes.
func (w *world) session(_ int, rng *rand.Rand) {
	m := &sessionModel{w: w}
	for range 1 + rng.IntN(3) {
		own := child(rng)
		w.work.Go(func() { m.connect(own) })
	}
	own := child(rng)
	w.work.Go(func() {
		for w.pause(own, 5*time.Second) {
			on, done := w.use(own)
			on.Overview(10)
			done()
		}
	})
	w.sessions = append(w.sessions, m)
	w.checks = append(w.checks, m.check)
}

// sessionUser is the user of all sessions.
const sessionUser = "visitor"

type sessionModel struct {
	w    *world
	open []*node // by connection that stays open: its node
}

// connect opens one connection after another. The last one stays open until the check.
func (m *sessionModel) connect(rng *rand.Rand) {
	for {
		on, done := m.w.use(rng)
		leave := on.EnterSession(sessionUser, hub.ViaWait)
		done()
		if !m.w.pause(rng, 5*time.Second) {
			m.w.mu.Lock()
			m.open = append(m.open, on)
			m.w.watchers = append(m.w.watchers, leave)
			m.w.mu.Unlock()
			return
		}
		leave()
	}
}

func (m *sessionModel) check() {
	want := 0
	for _, model := range m.w.sessions {
		for _, on := range model.open {
			select {
			case <-on.gone:
			default:
				want++
			}
		}
	}
	for _, n := range m.w.all() {
		got := 0
		for _, s := range n.Overview(10).Sessions {
			if s.User == sessionUser {
				got = s.Total
			}
		}
		if got != want {
			m.w.failf("%s counts %d sessions on all nodes, and there are %d", n.name, got, want)
		}
	}
}
