package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
)

// conversation is several clients that append to one conversation, each while it holds the lock.
func (w *world) conversation(i int, rng *rand.Rand) {
	m := &conversationModel{w: w, id: fmt.Sprintf("c%d", i), taken: make(map[string]time.Time)}
	for c := range 2 {
		own := child(rng)
		w.work.Go(func() {
			for n := 0; w.pause(own, 3*time.Second); n++ {
				m.add(own, fmt.Sprintf("%d.%d", c, n))
			}
		})
	}
	w.checks = append(w.checks, m.check)
}

type conversationModel struct {
	w  *world
	id string

	mu    sync.Mutex
	taken map[string]time.Time // by accepted entry, when its request began
}

func (m *conversationModel) add(rng *rand.Rand, what string) {
	on, done := m.w.use(rng)
	defer done()
	began := time.Now()
	unlock, err := on.store.LockConversation(m.id)
	if err != nil {
		return
	}
	defer unlock()
	c, err := on.store.LoadConversation(m.id)
	if err != nil {
		return
	}
	if c == nil {
		c = &conversation.StoredRecord{ID: m.id, Owner: "u"}
	}
	var said []string
	if len(c.Data) > 0 {
		if err := json.Unmarshal(c.Data, &said); err != nil {
			m.w.failf("%s: %v", m.id, err)
		}
	}
	c.Data, _ = json.Marshal(append(said, what))
	err = on.store.SaveConversation(c, conversation.Retention{TTL: time.Hour, OfUser: 9})
	m.w.tracef("%s: %s on %s: %v", m.id, what, on.name, err)
	switch {
	case err == nil:
		m.mu.Lock()
		m.taken[what] = began
		m.mu.Unlock()
	case errors.Is(err, errs.ErrConflict) && m.w.calm():
		m.w.failf("%s: %s is a conflict under the lock", m.id, what)
	}
}

func (m *conversationModel) check() {
	c, err := m.w.all()[0].store.LoadConversation(m.id)
	if err != nil {
		m.w.failf("%s cannot be had when all is whole: %v", m.id, err)
		return
	}
	var said []string
	if c != nil {
		if err := json.Unmarshal(c.Data, &said); err != nil {
			m.w.failf("%s: %v", m.id, err)
		}
	}
	for what, at := range m.taken {
		if !slices.Contains(said, what) && !m.w.lossAfter(at) {
			m.w.failf("%s: %s was answered with success, and is not there", m.id, what)
		}
	}
}
