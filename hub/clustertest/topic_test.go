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

// topicModel is one topic, its publishers and its readers.
type topicModel struct {
	w    *world
	name string

	mu      sync.Mutex
	tries   map[string][]try // by publisher, its publications by number
	readers []*topicReader
}

// try is one request of a client.
type try struct {
	began time.Time
	taken time.Time // zero: no success was returned
}

// told is an event's payload.
type told struct {
	By string
	N  int
}

func (w *world) topic(i int, rng *rand.Rand) {
	m := &topicModel{w: w, name: fmt.Sprintf("topic:%d", i), tries: make(map[string][]try)}
	for p := range 1 + rng.IntN(2) {
		own, name := child(rng), fmt.Sprintf("p%d", p)
		named := own.IntN(3) > 0
		w.work.Go(func() { m.publish(own, name, named) })
	}
	for r := range 1 + rng.IntN(3) {
		own := child(rng)
		reader := &topicReader{m: m, name: fmt.Sprintf("%s reader %d", m.name, r), next: make(map[string]int)}
		m.readers = append(m.readers, reader)
		w.work.Go(func() { reader.run(own) })
	}
	w.checks = append(w.checks, m.check)
}

// publish publishes consecutive numbers. Events with an id are retried until they are accepted.
func (m *topicModel) publish(rng *rand.Rand, by string, named bool) {
	for n := 0; m.w.pause(rng, 2*time.Second); n++ {
		payload, _ := json.Marshal(told{by, n})
		event := hub.EventInput{Event: "n", Payload: payload}
		if named {
			event.ID = fmt.Sprintf("%s.%d", by, n)
		}
		m.mu.Lock()
		m.tries[by] = append(m.tries[by], try{began: time.Now()})
		m.mu.Unlock()
		for again := true; again; {
			on, done := m.w.use(rng)
			_, err := on.Publish(m.name, by, []hub.EventInput{event})
			done()
			switch {
			case err == nil:
				m.mu.Lock()
				m.tries[by][n].taken = time.Now()
				m.mu.Unlock()
				m.w.tracef("%s: %s %d is taken on %s", m.name, by, n, on.name)
			case !passing(err):
				m.w.failf("%s: publishing: %v", m.name, err)
			}
			again = err != nil && named && passing(err)
			if again {
				m.w.rest(rng, time.Second)
			}
		}
	}
}

// missing reports whether a reader may lack a number without having got a reset.
func (m *topicModel) missing(by string, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tries[by][n]
	return t.taken.IsZero() || m.w.lossAfter(t.began)
}

// topicReader reads a topic, and resumes on random nodes.
type topicReader struct {
	m      *topicModel
	name   string
	after  log.Position // absent: from the beginning
	on     *node
	reader *hub.TopicReader
	wake   *log.Wake
	next   map[string]int // by publisher: the next number
	begins bool           // it has read from the topic's beginning
}

func (r *topicReader) run(rng *rand.Rand) {
	for more := true; more; {
		if r.reader == nil && !r.open(rng) {
			more = r.m.w.pause(rng, time.Second)
			continue
		}
		r.read()
		switch rng.IntN(6) {
		case 0:
			r.close()
		case 1:
			more = r.m.w.pause(rng, 3*time.Second)
		default:
			select {
			case <-r.wake.C:
			case <-r.on.gone:
				r.close()
			case <-r.m.w.over:
				more = false
			}
		}
	}
}

func (r *topicReader) open(rng *rand.Rand) bool {
	on, done := r.m.w.use(rng)
	defer done()
	wake := log.NewWake()
	reader, reset, err := on.Subscribe(r.m.name, r.after, wake)
	if err != nil {
		if !passing(err) {
			r.m.w.failf("%s: %v", r.name, err)
		}
		return false
	}
	r.on, r.reader, r.wake = on, reader, wake
	if r.after == (log.Position{}) {
		r.begins = r.m.w.plan.history == 0
	}
	r.reset(reset)
	return true
}

func (r *topicReader) reset(reset *log.Reset) {
	if reset != nil {
		r.m.w.tracef("%s is reset: %s of %s, from %s", r.name, reset.Reason, reset.Requested, reset.From)
		clear(r.next)
		r.begins = r.m.w.plan.history == 0
	}
}

func (r *topicReader) close() {
	if r.reader != nil {
		r.reader.Close()
		r.reader = nil
	}
}

func (r *topicReader) read() {
	for {
		items, reset := r.reader.Read(nil)
		r.reset(reset)
		r.after = r.reader.Position()
		if len(items) == 0 {
			return
		}
		for i := range items {
			r.take(&items[i])
		}
	}
}

func (r *topicReader) take(item *log.Item) {
	var e told
	if err := json.Unmarshal(item.Event.Payload(), &e); err != nil {
		r.m.w.failf("%s: %v", r.name, err)
		return
	}
	next, known := r.next[e.By]
	if e.N < next {
		r.m.w.failf("%s on %s has %s %d again, and expected %d", r.name, r.on.name, e.By, e.N, next)
	}
	for n := next; n < e.N && (known || r.begins); n++ {
		if !r.m.missing(e.By, n) {
			r.m.w.failf("%s on %s has %s %d, and was not given %d", r.name, r.on.name, e.By, e.N, n)
		}
	}
	r.next[e.By] = e.N + 1
}

// check compares the topic's events with the successful publications, and with what the readers got.
func (m *topicModel) check() {
	w := m.w
	rng := rand.New(rand.NewPCG(w.plan.seed, 4))
	fresh := &topicReader{m: m, name: m.name + " late reader", next: make(map[string]int)}
	if !fresh.open(rng) {
		w.failf("%s cannot be read when all is whole", m.name)
		return
	}
	fresh.read()
	defer fresh.close()
	for by, tries := range m.tries {
		next, known := fresh.next[by]
		for n := next; n < len(tries) && (known || fresh.begins); n++ {
			if !m.missing(by, n) {
				w.failf("%s: %s %d was answered with success, and is not there", m.name, by, n)
			}
		}
	}
	for _, r := range m.readers {
		if r.reader == nil && !r.open(rng) {
			w.failf("%s cannot go on when all is whole", r.name)
			continue
		}
		r.read()
		if r.after != fresh.after {
			w.failf("%s on %s is at %s, and the end on %s is %s", r.name, r.on.name, r.after, fresh.on.name, fresh.after)
		}
		for by, next := range fresh.next {
			if have, known := r.next[by]; known && have != next {
				w.failf("%s expects %s %d, and the end is before %d", r.name, by, have, next)
			}
		}
		r.close()
	}
}
