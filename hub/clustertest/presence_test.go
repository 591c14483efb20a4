package clustertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// presenceModel is the expected presence of a topic.
type presenceModel struct {
	w     *world
	topic string

	mu    sync.Mutex
	there map[string]int // by key, the number of present sessions
}

func (w *world) presence(i int, rng *rand.Rand) {
	m := &presenceModel{w: w, topic: fmt.Sprintf("crowd:%d", i), there: make(map[string]int)}
	for s := range 1 + rng.IntN(4) {
		own, key, client := child(rng), fmt.Sprintf("k%d", s/2), fmt.Sprintf("c%d", s)
		w.work.Go(func() { m.session(own, key, client) })
	}
	own := child(rng)
	w.work.Go(func() { m.look(own) })
	w.checks = append(w.checks, m.check)
}

// session is one client that joins, updates, leaves, drops its connection and rejoins on random nodes.
func (m *presenceModel) session(rng *rand.Rand, key, client string) {
	w := m.w
	var p *hub.Presence
	var on *node
	for n := 0; w.pause(rng, 4*time.Second); n++ {
		if p != nil {
			select {
			case <-on.gone:
				p = nil
			default:
			}
		}
		meta := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
		choice := rng.IntN(4)
		if p == nil {
			at, done := w.use(rng)
			var err error
			if p, err = at.Track(m.topic, key, client, meta); err != nil && !passing(err) {
				w.failf("%s: %v", m.topic, err)
			}
			on = at
			done()
			w.tracef("%s: %s of %s comes to %s: %v", m.topic, client, key, on.name, err)
			continue
		}
		if !on.enter() {
			continue
		}
		switch choice {
		case 0:
			p.Leave()
			p = nil
		case 1:
			p.Drop(w.scaled(2 * time.Second))
			p = nil
		default:
			if err := p.Update(meta); err != nil {
				w.failf("%s: %v", m.topic, err)
			}
		}
		on.users.Done()
		w.tracef("%s: %s of %s does %d on %s", m.topic, client, key, choice, on.name)
	}
	if p == nil {
		return
	}
	select {
	case <-on.gone:
	default:
		m.mu.Lock()
		m.there[key]++
		m.mu.Unlock()
	}
}

// look follows the presence on random nodes: each change must fit the state before it.
func (m *presenceModel) look(rng *rand.Rand) {
	for m.w.pause(rng, 3*time.Second) {
		on, done := m.w.use(rng)
		c := m.watch(on)
		done()
		for c != nil && rng.IntN(4) > 0 {
			select {
			case <-c.wake.C:
				c.read()
				continue
			case <-on.gone:
			case <-m.w.over:
			}
			break
		}
		if c != nil {
			c.reader.Close()
		}
	}
}

func (m *presenceModel) watch(on *node) *crowd {
	c := &crowd{m: m, on: on, wake: log.NewWake()}
	var err error
	if c.reader, err = on.SubscribePresence(m.topic, c.wake); err != nil {
		if !passing(err) {
			m.w.failf("%s: %v", m.topic, err)
		}
		return nil
	}
	c.reset()
	return c
}

// crowd is one client's copy of the presence state.
type crowd struct {
	m      *presenceModel
	on     *node
	reader *hub.PresenceReader
	wake   *log.Wake
	refs   map[string]string // by phx_ref, the key
}

type present map[string]struct {
	Metas []struct {
		Ref string `json:"phx_ref"`
	}
}

func refsOf(state []byte) (refs map[string]string, err error) {
	var p present
	refs = make(map[string]string)
	err = json.Unmarshal(state, &p)
	for key, of := range p {
		for _, meta := range of.Metas {
			refs[meta.Ref] = key
		}
	}
	return refs, err
}

func (c *crowd) reset() {
	var err error
	if c.refs, err = refsOf(c.reader.State()); err != nil {
		c.m.w.failf("%s: %v", c.m.topic, err)
	}
}

func (c *crowd) read() {
	items, lost := c.reader.Read(nil)
	if lost {
		c.reset()
	}
	for i := range items {
		var diff struct {
			Payload struct{ Joins, Leaves present }
		}
		if err := json.Unmarshal(items[i].Event.Data, &diff); err != nil {
			c.m.w.failf("%s: %v", c.m.topic, err)
		}
		for key, p := range diff.Payload.Leaves {
			for _, meta := range p.Metas {
				if c.refs[meta.Ref] != key {
					c.m.w.failf("%s on %s: %s of %s leaves, who is not there", c.m.topic, c.on.name, meta.Ref, key)
				}
				delete(c.refs, meta.Ref)
			}
		}
		for key, p := range diff.Payload.Joins {
			for _, meta := range p.Metas {
				if c.refs[meta.Ref] != "" {
					c.m.w.failf("%s on %s: %s of %s joins twice", c.m.topic, c.on.name, meta.Ref, key)
				}
				c.refs[meta.Ref] = key
			}
		}
	}
}

// check compares the presence on all nodes with the sessions that did not leave.
func (m *presenceModel) check() {
	want := make(map[string]int)
	maps.Copy(want, m.there)
	for _, n := range m.w.all() {
		refs, err := refsOf(n.Presences(m.topic))
		if err != nil {
			m.w.failf("%s: %v", m.topic, err)
		}
		got := make(map[string]int)
		for _, key := range refs {
			got[key]++
		}
		if !maps.Equal(got, want) {
			m.w.failf("%s: %v are there on %s, and %v have come and not gone", m.topic, got, n.name, want)
			kept, _ := n.store.Presences(m.topic)
			m.w.tracef("%s has %s; the store has %+v", n.name, n.Presences(m.topic), kept)
		}
	}
}
