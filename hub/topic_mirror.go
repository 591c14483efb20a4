package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// topicLoadTimeout is how long a reader waits for a topic to come from the store.
const topicLoadTimeout = 10 * time.Second

// topicReplica is a topic as its mirror sees it: the log of what the store has. A topic has a mirror from its first
// reader on, until it is dropped.
type topicReplica struct{ *topic }

// Follow implements mirror.Replica.
func (r topicReplica) Follow(heard func(EventBatch), gap func()) (stop func()) {
	return r.hub.cluster.topics.FollowTopic(r.name, heard, gap)
}

// Load implements mirror.Replica: it reads what the store has behind what the topic has. The topic gets it as a whole:
// one that has begun anew, and is still shorter than what its readers have had, is of no use to anybody.
func (r topicReplica) Load() error {
	store := r.hub.cluster.topics
	epoch, after := r.loadedUpTo()
	all, err := store.Events(r.name, epoch, after)
	for err == nil && len(all.Events) > 0 && all.last() < all.Tail {
		var more TopicPage
		if more, err = store.Events(r.name, all.Epoch, all.last()); err == nil {
			all.merge(&more)
		}
	}
	if err == nil {
		r.applyPage(&all)
	}
	return err
}

// Take implements mirror.Replica.
func (r topicReplica) Take(b EventBatch, _ bool) bool { return r.applyBatch(&b) }

// attach makes sure that a topic is a mirror of the store's, and waits until it has what the store has. On a hub
// without a store for topics it does nothing.
func (t *topic) ensureMirror() error {
	if !t.hub.cluster.sharesTopics() {
		return nil
	}
	t.Lock()
	if t.dropped {
		t.Unlock()
		return errs.ErrClosed
	}
	m, begun := t.mirror, t.mirror != nil
	if !begun {
		m = mirror.New(topicReplica{t}, &t.hub.background)
		t.mirror = m
	}
	t.Unlock()
	if !begun {
		m.Start()
	}
	return m.Loaded(topicLoadTimeout)
}

// catchUp makes sure that a topic's mirror has what follows p, if the store has: another node may have heard of it
// before this one.
func (t *topic) catchUp(p log.Position) error {
	t.Lock()
	m := t.mirror
	enough := m == nil || !t.MayCome(p)
	t.Unlock()
	if enough {
		return nil
	}
	return m.Refresh(topicLoadTimeout)
}

// dropMirror ends the topic's mirror, if it has one. The topic must not be locked.
func (t *topic) dropMirror() {
	t.Lock()
	m := t.mirror
	t.Unlock()
	if m != nil {
		m.Close()
	}
}

// end returns up to where the topic is known.
func (t *topic) loadedUpTo() (epoch string, after uint64) {
	t.Lock()
	defer t.Unlock()
	return t.Epoch(), t.Tail()
}

// adopt takes a page of the store's.
func (t *topic) applyPage(p *TopicPage) {
	now := time.Now()
	t.Lock()
	before := t.Size()
	if t.Epoch() != p.Epoch || p.Tail < t.Tail() || p.Base > t.Tail() {
		t.Begin(p.Epoch, p.Before, p.Base)
		t.ids = nil
	}
	t.applyEvents(p.First, p.Events)
	for i := range p.Ephemerals {
		t.putShared(&p.Ephemerals[i])
	}
	t.trimToLimits(now)
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
}

// join takes a batch that goes on exactly where the topic ends, and what it has already. Otherwise it reports false.
func (t *topic) applyBatch(b *EventBatch) bool {
	now := time.Now()
	t.Lock()
	if b.First > 0 && (b.Epoch != t.Epoch() || b.First > t.Tail()+1) {
		t.Unlock()
		return false
	}
	before := t.Size()
	t.applyEvents(b.First, b.Events)
	t.trimToLimits(now)
	t.lastUsed = now
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
	return true
}

// take appends those of adjacent events, the first of which has the offset first, that are new.
func (t *topic) applyEvents(first uint64, events []SharedEvent) {
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
