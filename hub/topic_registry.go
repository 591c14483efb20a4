package hub

import (
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// mirrorTTL is how long the replica of a topic or stream stays on this node after its last use.
const mirrorTTL = time.Minute

// topicRegistry owns the topics of one node, by name. A topic is created at its first use. It is dropped when it has
// expired or is evicted, and its next creation begins a new epoch, so no reader resumes at a wrong offset.
type topicRegistry struct {
	hub *Hub

	mu     lock.RWMutex
	byName map[string]*topic
}

func (r *topicRegistry) init(h *Hub) {
	r.mu.SetClass(lock.Topics)
	r.hub, r.byName = h, make(map[string]*topic)
}

// find returns the topic, or nil if it does not exist on this node.
func (r *topicRegistry) find(name string) *topic {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[name]
}

// findOrCreate returns the topic, which it creates if it does not exist. Errors: *FieldError for an invalid name;
// *LimitError for more than Limits.Topics.
func (r *topicRegistry) findOrCreate(name string) (*topic, error) {
	if t := r.find(name); t != nil {
		return t, nil
	}
	if err := ValidTopic(name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.byName[name]; t != nil {
		return t, nil
	}
	h := r.hub
	if len(r.byName) >= h.limits.Topics {
		return nil, &errs.LimitError{
			Kind: errs.ErrLimited, Name: "topics", Limit: int64(h.limits.Topics), Retry: 10 * time.Second,
		}
	}
	t := &topic{name: name, hub: h, lastUsed: time.Now()}
	epoch := ""
	if !h.cluster.sharesTopics() {
		epoch = h.epochs.Next()
	}
	t.SetClass(lock.Topic)
	t.Init(epoch, nil, &h.encoded)
	r.byName[name] = t
	return t, nil
}

// all returns the topics that exist at the moment.
func (r *topicRegistry) all() []*topic {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*topic, 0, len(r.byName))
	for _, t := range r.byName {
		all = append(all, t)
	}
	return all
}

// leastUsed returns all topics, the least recently used first.
func (r *topicRegistry) leastUsed() []*topic {
	all := r.all()
	lastUsed := make(map[*topic]time.Time, len(all)) // a snapshot: the order must not change while it is sorted
	for _, t := range all {
		t.Lock()
		lastUsed[t] = t.lastUsed
		t.Unlock()
	}
	slices.SortFunc(all, func(a, b *topic) int { return lastUsed[a].Compare(lastUsed[b]) })
	return all
}

// expire trims all topics, and drops those that are idle: nobody reads them or is present on them, and they are empty,
// or a replica that was not used for mirrorTTL.
func (r *topicRegistry) expire(now time.Time) {
	limits := &r.hub.limits
	for _, t := range r.all() {
		t.Lock()
		before := t.Size()
		t.trimToLimits(now)
		r.hub.logBytes.Add(t.Size() - before)
		unused := now.Sub(t.lastUsed)
		idle := t.Readers() == 0 && t.presences == nil &&
			(t.mirror != nil && unused > mirrorTTL || t.Len() == 0 && unused > limits.HistoryTTL)
		t.Unlock()
		if idle {
			r.drop(t)
		}
	}
}

// drop removes a topic and closes its mirror, unless the topic has readers or a presence table.
func (r *topicRegistry) drop(t *topic) {
	if r.remove(t) {
		t.dropMirror() // without the locks that remove has taken
	}
}

// remove does drop's work on the registry, and reports whether the topic was removed.
func (r *topicRegistry) remove(t *topic) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Lock()
	defer t.Unlock()
	if t.Readers() > 0 || t.presences != nil || t.dropped {
		return false
	}
	t.dropped = true
	t.Retire()
	r.hub.logBytes.Add(-t.Size())
	delete(r.byName, t.name)
	return true
}
