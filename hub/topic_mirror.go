package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// mirror keeps a topic's log on this node as it is in the store that the nodes share. A topic has one from its first reader on, and until it is
// dropped. What is heard is appended where it joins; where it does not, or may not, the store is asked.
type mirror struct {
	topic *topic
	store TopicStore
	stop  func() // ends the following

	mu      sync.Mutex
	loading bool         // a goroutine asks the store
	stale   bool         // it must be asked again
	held    []EventBatch // heard meanwhile
	err     error        // of the last asking
	changed chan struct{}
	loaded  bool // it was asked with success
	over    bool
}

// maxHeld is how many batches wait while the store is asked. With more, it is asked again.
const maxHeld = 1024

// mirrorTimeout is how long a reader waits for a topic to come from the store.
const mirrorTimeout = 10 * time.Second

// attach makes sure that a topic is a mirror of the store's, and waits until it has what the store has. On a hub without a store for topics it
// does nothing.
func (t *topic) attach() error {
	if t.hub.topicStore == nil {
		return nil
	}
	t.Lock()
	if t.gone {
		t.Unlock()
		return errs.ErrClosed
	}
	m := t.mirror
	if m == nil {
		m = &mirror{topic: t, store: t.hub.topicStore, changed: make(chan struct{})}
		t.mirror = m
		t.Unlock()
		stop := m.store.FollowTopic(t.name, m.hear, m.gap)
		m.mu.Lock()
		m.stop = stop
		over := m.over
		m.mu.Unlock()
		if over {
			stop()
		}
	} else {
		t.Unlock()
	}
	return m.wait(func() bool { return m.loaded })
}

// renew asks the store, and waits until it has answered.
func (m *mirror) renew() error {
	m.gap()
	return m.wait(func() bool { return !m.loading && m.err == nil })
}

// wait waits until done, which is called with m.mu held, says that the store has been asked with success.
func (m *mirror) wait(done func() bool) error {
	late := time.NewTimer(mirrorTimeout)
	defer late.Stop()
	for {
		m.mu.Lock()
		enough, over, err, changed := done(), m.over, m.err, m.changed
		m.mu.Unlock()
		switch {
		case over:
			return errs.ErrClosed
		case enough:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-late.C:
			return fmt.Errorf("the topic has not come from the other nodes in time: %w", errs.ErrUnavailable)
		}
	}
}

// gap has the store asked for what may have been missed.
func (m *mirror) gap() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ask()
}

// ask starts the asking, or has it begin again. m.mu is held.
func (m *mirror) ask() {
	m.stale = true
	if m.loading || m.over {
		return
	}
	m.loading, m.err = true, nil
	if !m.topic.hub.goes(m.load) {
		m.finish(errs.ErrClosed)
	}
}

// hear takes what was appended, here or on another node.
func (m *mirror) hear(b EventBatch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.over:
	case m.loading && len(m.held) < maxHeld:
		m.held = append(m.held, b)
	case m.loading:
		m.held = nil
		m.stale = true
	case !m.topic.join(&b):
		m.held = append(m.held, b)
		m.ask()
	}
}

// load asks the store until nothing is missing.
func (m *mirror) load() {
	for failures := 0; ; {
		m.mu.Lock()
		if m.over {
			m.finish(nil)
			m.mu.Unlock()
			return
		}
		m.stale = false
		m.mu.Unlock()
		if err := m.loadOnce(); err != nil {
			failures++
			m.mu.Lock()
			m.stale = true
			m.tell(err)
			m.mu.Unlock()
			if !m.topic.hub.PauseAfter(failures) {
				m.mu.Lock()
				m.finish(errs.ErrClosed)
				m.mu.Unlock()
				return
			}
			continue
		}
		failures = 0
		m.mu.Lock()
		for i := range m.held {
			if !m.topic.join(&m.held[i]) {
				m.stale = true // it did not join even now: something is missing again
				m.held = m.held[i:]
				break
			}
		}
		m.loaded = true
		if !m.stale {
			m.held = nil
			m.finish(nil) // before anybody else is heard
			m.mu.Unlock()
			return
		}
		m.tell(nil)
		m.mu.Unlock()
	}
}

// loadOnce reads what the store has behind what the topic has. The topic gets it as a whole: one that has begun anew, and is still shorter than what
// its readers have had, is of no use to anybody.
func (m *mirror) loadOnce() error {
	epoch, after := m.topic.end()
	all, err := m.store.Events(m.topic.name, epoch, after)
	for err == nil && len(all.Events) > 0 && all.last() < all.Tail {
		var more TopicPage
		if more, err = m.store.Events(m.topic.name, all.Epoch, all.last()); err == nil {
			all.join(&more)
		}
	}
	if err == nil {
		m.topic.adopt(&all)
	}
	return err
}

// tell wakes those who wait. m.mu is held.
func (m *mirror) tell(err error) {
	m.err = err
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mirror) finish(err error) {
	m.loading = false
	m.tell(err)
}

// close ends the mirror. No lock may be held: the store may be calling hear at the moment.
func (m *mirror) close() {
	m.mu.Lock()
	stop := m.stop
	if m.over {
		stop = nil
	} else {
		m.over = true
		m.tell(errs.ErrClosed)
	}
	m.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// end returns up to where the topic is known.
func (t *topic) end() (epoch string, after uint64) {
	t.Lock()
	defer t.Unlock()
	return t.Epoch(), t.Tail()
}

// adopt takes a page of the store's.
func (t *topic) adopt(p *TopicPage) {
	now := time.Now()
	t.Lock()
	before := t.Size()
	if t.Epoch() != p.Epoch || p.Tail < t.Tail() || p.Base > t.Tail() {
		t.Begin(p.Epoch, p.Before, p.Base)
		t.ids = nil
	}
	t.take(p.First, p.Events)
	for i := range p.Ephemerals {
		t.putShared(&p.Ephemerals[i])
	}
	t.trimOver(now)
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
}

// join takes a batch that goes on exactly where the topic ends, and what it has already. Otherwise it reports false.
func (t *topic) join(b *EventBatch) bool {
	now := time.Now()
	t.Lock()
	if b.First > 0 && (b.Epoch != t.Epoch() || b.First > t.Tail()+1) {
		t.Unlock()
		return false
	}
	before := t.Size()
	t.take(b.First, b.Events)
	t.trimOver(now)
	t.used = now
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
	return true
}

// take appends those of adjacent events, the first of which has the offset first, that are new.
func (t *topic) take(first uint64, events []SharedEvent) {
	for i := range events {
		e := &events[i]
		if e.Ephemeral {
			t.putShared(e)
			continue
		}
		if first > t.Tail() {
			ev, in := e.event()
			putEnvelope(ev, t.name, e.Sender, &in, t.Position(first).String())
			t.Append(ev)
		}
		first++
	}
}

func (t *topic) putShared(e *SharedEvent) {
	ev, in := e.event()
	putEnvelope(ev, t.name, e.Sender, &in, "")
	t.eph.put(e.Sender, ev, t.hub.limits.EphemeralKeys)
	t.watch.set(t.eph.version)
}

func (e *SharedEvent) event() (*log.Event, EventInput) {
	in := EventInput{ID: e.ID, Event: e.Event, Payload: e.Payload, Bytes: e.Bytes}
	if e.Bytes != nil {
		in.Payload = bytesPayload(e.Bytes)
	}
	return &log.Event{Name: e.Event, Time: time.UnixMilli(e.Millis), Bytes: e.Bytes, Except: e.Except}, in
}

// share publishes checked events for all nodes.
func (h *Hub) share(name, sender string, events []EventInput) ([]Published, error) {
	if err := ValidTopic(name); err != nil {
		return nil, err
	}
	shared := make([]SharedEvent, len(events))
	now := time.Now()
	for i := range events {
		in := &events[i]
		shared[i] = SharedEvent{
			ID: in.ID, Named: in.ID != "" && !in.Ephemeral, Sender: sender, Event: in.Event, Bytes: in.Bytes, Except: in.Except, Ephemeral: in.Ephemeral, Millis: now.UnixMilli(),
		}
		if in.ID == "" {
			shared[i].ID = ulid.Make().String()
		}
		if in.Bytes == nil {
			shared[i].Payload = in.Payload
		}
	}
	places, err := h.appendShared(name, shared)
	if err != nil {
		return nil, err
	}
	out := make([]Published, len(events))
	for i := range out {
		out[i].ID = shared[i].ID
		if !shared[i].Ephemeral {
			out[i].Position = places[i].String()
			h.noticeEpoch(name, places[i].Epoch)
		}
	}
	return out, nil
}

// appendPatience is for how long events are offered to a store that cannot be reached.
const appendPatience = 5 * time.Second

// appendShared adds events to the store. Those that have names are offered again where it cannot be reached: it knows them if it has them already. So
// what the same sender publishes next does not overtake them while Redis comes back.
func (h *Hub) appendShared(name string, events []SharedEvent) (places []log.Position, err error) {
	l := &h.limits
	room := TopicRoom{Events: l.HistoryEvents, Bytes: l.HistoryBytes, TTL: l.HistoryTTL, Ephemerals: l.EphemeralKeys, EphemeralTTL: l.EphemeralTTL}
	again := !slices.ContainsFunc(events, func(e SharedEvent) bool { return !e.Named })
	begun := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		places, err = h.topicStore.AppendEvents(name, events, room)
		if !again || !errors.Is(err, errs.ErrUnavailable) || time.Since(begun) > appendPatience || !h.Pause(pause) {
			return places, err
		}
	}
}

// noticeEpoch has a mirror that is of another epoch ask the store, which it may not have heard of yet.
func (h *Hub) noticeEpoch(name, epoch string) {
	h.topicMu.RLock()
	t := h.topics[name]
	h.topicMu.RUnlock()
	if t == nil {
		return
	}
	t.Lock()
	m := t.mirror
	other := t.Epoch() != epoch
	t.Unlock()
	if m != nil && other {
		m.gap()
	}
}

// closeMirrors ends all mirrors, and lets no new goroutine of theirs begin.
func (h *Hub) closeMirrors() {
	h.topicMu.Lock()
	h.mirrorsOver = true
	h.topicMu.Unlock()
	for _, t := range h.allTopics() {
		t.dropMirror()
	}
}

// dropMirror ends the topic's mirror, if it has one.
func (t *topic) dropMirror() {
	t.Lock()
	m := t.mirror
	t.Unlock()
	if m != nil {
		m.close()
	}
}
