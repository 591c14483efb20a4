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

// queueModel is one user's queue, its senders, and the user who reads it.
type queueModel struct {
	w    *world
	user string

	mu    sync.Mutex
	tries map[string][]try
	seen  map[string]map[int]bool // by sender, the numbers that the user received
}

func (w *world) queue(i int, rng *rand.Rand) {
	m := &queueModel{
		w: w, user: fmt.Sprintf("user%d", i), tries: make(map[string][]try), seen: make(map[string]map[int]bool),
	}
	for s := range 1 + rng.IntN(2) {
		own, name := child(rng), fmt.Sprintf("s%d", s)
		m.seen[name] = make(map[int]bool)
		durable := own.IntN(2) == 0
		w.work.Go(func() { m.send(own, name, durable) })
	}
	r := &queueReader{m: m, name: "the queue of " + m.user}
	own := child(rng)
	w.work.Go(func() { r.run(own) })
	w.checks = append(w.checks, r.check)
}

// send sends consecutive numbers, each retried until it is accepted: as messages, or as durable events for a user who
// is away.
func (m *queueModel) send(rng *rand.Rand, by string, durable bool) {
	for n := 0; m.w.pause(rng, 2*time.Second); n++ {
		payload, _ := json.Marshal(told{by, n})
		id := fmt.Sprintf("%s.%d", by, n)
		m.mu.Lock()
		m.tries[by] = append(m.tries[by], try{began: time.Now()})
		m.mu.Unlock()
		for {
			on, done := m.w.use(rng)
			var err error
			if durable {
				event := hub.EventInput{ID: id, Event: "n", Payload: payload, Durable: true, To: []string{m.user}}
				_, err = on.Publish("room:"+m.user, by, []hub.EventInput{event})
			} else {
				_, err = on.Enqueue(by, []hub.MessageInput{{User: m.user, ID: id, Event: "n", Payload: payload}})
			}
			done()
			if err == nil {
				m.mu.Lock()
				m.tries[by][n].taken = time.Now()
				m.mu.Unlock()
				m.w.tracef("%s: %s is taken on %s", m.user, id, on.name)
				break
			}
			if !passing(err) {
				m.w.failf("%s: sending: %v", m.user, err)
				break
			}
			m.w.rest(rng, time.Second)
		}
	}
}

// queueReader is the user, who reads and acknowledges messages.
type queueReader struct {
	m      *queueModel
	name   string
	on     *node
	reader *hub.QueueReader
	wake   *log.Wake
	order  map[string]int // by sender: the last number of this session
	last   log.Position   // of the last message of this session
}

func (r *queueReader) run(rng *rand.Rand) {
	for more := true; more; {
		if r.reader == nil && !r.open(rng) {
			more = r.m.w.pause(rng, time.Second)
			continue
		}
		r.read()
		switch rng.IntN(6) {
		case 0:
			r.close()
		case 1, 2:
			r.acknowledge(rng)
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

func (r *queueReader) open(rng *rand.Rand) bool {
	on, done := r.m.w.use(rng)
	defer done()
	wake := log.NewWake()
	reader, _, err := on.ReadQueue(r.m.user, log.Position{}, wake)
	if err != nil {
		if !passing(err) {
			r.m.w.failf("%s: %v", r.name, err)
		}
		return false
	}
	r.on, r.reader, r.wake, r.order, r.last = on, reader, wake, make(map[string]int), log.Position{}
	return true
}

func (r *queueReader) close() {
	if r.reader != nil {
		r.reader.Close()
		r.reader = nil
	}
}

func (r *queueReader) read() {
	for {
		items, _ := r.reader.Read(nil)
		if len(items) == 0 {
			return
		}
		for i := range items {
			r.take(&items[i])
		}
	}
}

func (r *queueReader) take(item *log.Item) {
	var m struct{ Payload told }
	if err := json.Unmarshal(item.Event.Data, &m); err != nil {
		r.m.w.failf("%s: %v", r.name, err)
		return
	}
	if r.last.Epoch != r.reader.Epoch() { // waiting messages are delivered again
		clear(r.order)
	}
	r.last = log.Position{Epoch: r.reader.Epoch(), Offset: item.To}
	e := m.Payload
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if before, some := r.order[e.By]; some && e.N <= before {
		r.m.w.failf("%s on %s: %s %d comes after %d", r.name, r.on.name, e.By, e.N, before)
	}
	r.order[e.By] = e.N
	r.m.seen[e.By][e.N] = true
}

// acknowledge acknowledges the messages that were read.
func (r *queueReader) acknowledge(rng *rand.Rand) {
	if r.last.Epoch == "" {
		return
	}
	on, done := r.m.w.use(rng)
	defer done()
	err := on.AckMessages(r.m.user, r.last)
	r.m.w.tracef("%s: acknowledged up to %s on %s: %v", r.name, r.last, on.name, err)
	if err != nil && !passing(err) && !r.m.w.lossAfter(r.m.w.begun) {
		r.m.w.failf("%s: acknowledging %s: %v", r.name, r.last, err)
	}
}

// check reads the rest of the queue: every accepted message must have been delivered.
func (r *queueReader) check() {
	w, rng := r.m.w, rand.New(rand.NewPCG(r.m.w.plan.seed, 5))
	if r.reader != nil {
		select {
		case <-r.on.gone: // it went while the reader was acknowledging on another node
			r.close()
		default:
		}
	}
	if r.reader == nil && !r.open(rng) {
		w.failf("%s cannot be read when all is whole", r.name)
		return
	}
	r.read()
	fresh := &queueReader{m: r.m, name: r.name + " by a late session"}
	if !fresh.open(rng) {
		w.failf("%s cannot be read when all is whole", fresh.name)
		return
	}
	fresh.read()
	if fresh.last != r.last && fresh.last.Epoch != "" {
		w.failf("%s on %s is at %s, and the end on %s is %s", r.name, r.on.name, r.last, fresh.on.name, fresh.last)
	}
	for by, tries := range r.m.tries {
		for n, t := range tries {
			if !t.taken.IsZero() && !r.m.seen[by][n] && !w.lossAfter(t.began) {
				w.failf("%s: %s %d was answered with success, and has not come", r.name, by, n)
			}
		}
	}
	r.close()
	fresh.close()
}
