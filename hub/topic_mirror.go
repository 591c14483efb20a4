package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// topicLoadTimeout is how long a reader waits for the topic to be loaded from the store.
const topicLoadTimeout = 10 * time.Second

// topicReplica is the replica of the store's log of a topic. A topic has a mirror from its first reader until it is
// dropped.
type topicReplica struct{ *topic }

// Follow implements mirror.Replica.
func (r topicReplica) Follow(onChange func(EventBatch), onGap func()) (stop func()) {
	return r.hub.cluster.topics.FollowTopic(r.name, onChange, onGap)
}

// Load implements mirror.Replica: it reads from the store what follows the topic's last event. All pages are applied
// together: after the first pages of a new epoch, the log could be shorter than what its readers have read.
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

// ensureMirror starts the topic's mirror, if it has none, and waits until it has been loaded. If topics are local to
// the node, it does nothing. ErrClosed means that the topic was dropped, or that the hub closes.
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

// catchUp has the mirror read the store if p may be there and is not here yet: another node may have got it earlier.
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

// dropMirror closes the topic's mirror, if it has one. The topic must not be locked.
func (t *topic) dropMirror() {
	t.Lock()
	m := t.mirror
	t.Unlock()
	if m != nil {
		m.Close()
	}
}

// loadedUpTo returns the position of the topic's last event, from where the store is to be read.
func (t *topic) loadedUpTo() (epoch string, after uint64) {
	t.Lock()
	defer t.Unlock()
	return t.Epoch(), t.Tail()
}

// applyPage brings the topic to a page of the store's. If the page does not continue the log, the log begins anew.
func (t *topic) applyPage(p *TopicPage) {
	now := time.Now()
	t.Lock()
	before := t.Size()
	if t.Epoch() != p.Epoch || p.Tail < t.Tail() || p.Base > t.Tail() {
		t.Begin(p.Epoch, p.Before, p.Base)
		t.ids = nil
	}
	t.applyEvents(p.First, p.Events)
	expired := now.Add(-t.hub.limits.EphemeralTTL).UnixMilli()
	for i := range p.Ephemerals {
		e := &p.Ephemerals[i]
		// The store may keep an ephemeral event for longer than its TTL, and returns all of them with each load. An
		// expired one would be put behind current ones, where eph.expire does not find it.
		if e.Millis >= expired && !t.eph.has(e.Sender, e.Event, e.ID, time.UnixMilli(e.Millis)) {
			t.putShared(e)
		}
	}
	t.trimToLimits(now)
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
}

// applyBatch applies a batch that continues the log, or that the log has already. It returns false if events between
// them are missing, or the batch is of another epoch.
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

// applyEvents appends those of consecutive events that are new. The first of them that is not ephemeral has the offset
// first. t is locked.
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

// putShared applies an ephemeral event. It does not compare ids: a sender may give all its events the same one. t is
// locked.
func (t *topic) putShared(e *SharedEvent) {
	ev, in := e.event()
	putEnvelope(ev, t.name, e.Sender, &in, "")
	t.eph.put(e.Sender, e.ID, ev, t.hub.limits.EphemeralKeys)
	t.ephemeralVersion.Store(t.eph.version)
}

func (e *SharedEvent) event() (*log.Event, EventInput) {
	in := EventInput{ID: e.ID, Event: e.Event, Payload: e.Payload, Bytes: e.Bytes}
	if e.Bytes != nil {
		in.Payload = bytesPayload(e.Bytes)
	}
	return &log.Event{Name: e.Event, Time: time.UnixMilli(e.Millis), Bytes: e.Bytes, Except: e.Except}, in
}
