package clustertest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// cursorModel is a topic on which one client publishes its cursor as ephemeral events: readers need only the last one.
type cursorModel struct {
	w     *world
	topic string
	last  int
	taken bool // the last event was accepted after recovery
}

func (w *world) cursor(i int, rng *rand.Rand) {
	m := &cursorModel{w: w, topic: fmt.Sprintf("cursors:%d", i)}
	var readers []*cursorReader
	var reading sync.WaitGroup
	for range 1 + rng.IntN(2) {
		r := &cursorReader{m: m, at: -1}
		readers = append(readers, r)
		own := child(rng)
		reading.Add(1)
		w.work.Go(func() {
			defer reading.Done()
			r.run(own)
		})
	}
	own := child(rng)
	w.work.Go(func() {
		for w.pause(own, time.Second) {
			m.move(own)
		}
		time.Sleep(w.scaled(healing))
		for tries := 0; !m.taken && tries < 30; tries++ {
			m.taken = m.move(own)
			w.rest(own, time.Second)
		}
		time.Sleep(w.scaled(healing)) // less than Limits.EphemeralTTL
		reading.Wait()
		m.check(readers)
	})
}

// move publishes a new place. It reports whether it was accepted.
func (m *cursorModel) move(rng *rand.Rand) bool {
	on, done := m.w.use(rng)
	defer done()
	m.last++
	payload, _ := json.Marshal(told{"c", m.last})
	out, err := on.Publish(m.topic, "c", []hub.EventInput{{Event: "cursor", Payload: payload, Ephemeral: true}})
	switch {
	case err == nil && out[0].Position != "":
		m.w.failf("%s: an event that is not kept has the position %s", m.topic, out[0].Position)
	case err != nil && !passing(err):
		m.w.failf("%s: %v", m.topic, err)
	}
	m.w.tracef("%s: the cursor is at %d on %s: %v", m.topic, m.last, on.name, err)
	return err == nil
}

// cursorReader follows the cursor on random nodes.
type cursorReader struct {
	m      *cursorModel
	on     *node
	reader *hub.TopicReader
	wake   *log.Wake
	at     int // the last place received; -1: none
}

func (r *cursorReader) run(rng *rand.Rand) {
	for r.m.w.pause(rng, 2*time.Second) {
		if r.reader != nil {
			select {
			case <-r.on.gone:
				r.close()
			default:
			}
		}
		if r.reader == nil {
			on, done := r.m.w.use(rng)
			r.open(on)
			done()
		}
		if r.reader == nil {
			continue
		}
		if r.read(); rng.IntN(8) == 0 {
			r.close()
		}
	}
}

func (r *cursorReader) open(on *node) {
	wake := log.NewWake()
	reader, _, err := on.Subscribe(r.m.topic, log.Position{Now: true}, wake)
	if err != nil {
		if !passing(err) {
			r.m.w.failf("%s: %v", r.m.topic, err)
		}
		return
	}
	r.on, r.reader, r.wake = on, reader, wake
}

func (r *cursorReader) close() {
	r.reader.Close()
	r.reader = nil
}

func (r *cursorReader) read() {
	for {
		items, _ := r.reader.Read(nil)
		if len(items) == 0 {
			return
		}
		for i := range items {
			var e told
			if err := json.Unmarshal(items[i].Event.Payload(), &e); err != nil || e.By != "c" {
				r.m.w.failf("%s on %s: %s is no place of the cursor: %v", r.m.topic, r.on.name, items[i].Event.Data, err)
			}
			r.at = e.N
		}
	}
}

// check compares the last published place with what existing readers and new readers on all nodes see.
func (m *cursorModel) check(readers []*cursorReader) {
	w := m.w
	if !m.taken {
		w.failf("%s: nothing is taken when all is whole", m.topic)
		return
	}
	for _, n := range w.all() {
		r := &cursorReader{m: m, at: -1}
		r.open(n)
		if r.reader == nil {
			w.failf("%s cannot be read on %s when all is whole", m.topic, n.name)
			continue
		}
		readers = append(readers, r)
	}
	for _, r := range readers {
		if r.reader == nil {
			continue
		}
		if r.read(); r.at != m.last {
			w.failf("%s: the cursor is at %d for a reader on %s, and at %d", m.topic, r.at, r.on.name, m.last)
		}
		r.close()
	}
}
