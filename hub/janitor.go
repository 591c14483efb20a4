package hub

import (
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// cleanUpInterval is how often what has expired is dropped.
const cleanUpInterval = 5 * time.Second

// cleanUp drops what has expired, a topic or stream at a time so that nothing stalls, until the hub closes.
func (h *Hub) cleanUp() {
	tick := time.NewTicker(cleanUpInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-tick.C:
			h.expireTopics(now)
			h.expireStreams(now)
			h.expireQueues(h.expiryTime())
			h.evict()
		}
	}
}

func (h *Hub) allTopics() []*topic {
	h.topicMu.RLock()
	defer h.topicMu.RUnlock()
	all := make([]*topic, 0, len(h.topics))
	for _, t := range h.topics {
		all = append(all, t)
	}
	return all
}

func (h *Hub) expireTopics(now time.Time) {
	for _, t := range h.allTopics() {
		t.Lock()
		before := t.Size()
		t.trimToLimits(now)
		h.logBytes.Add(t.Size() - before)
		idle := t.Readers() == 0 && t.presences == nil && (t.mirror != nil && now.Sub(t.lastUsed) > mirrorTTL || t.Len() == 0 && now.Sub(t.lastUsed) > h.limits.HistoryTTL)
		t.Unlock()
		if idle {
			h.dropTopic(t)
		}
	}
}

// mirrorTTL is how long a topic that nobody reads stays a mirror of what the nodes share.
const mirrorTTL = time.Minute

// dropTopic forgets a topic that nobody reads, and where nobody is present or looks at who is. Its next life has
// another epoch, so nobody is deceived.
func (h *Hub) dropTopic(t *topic) {
	if h.forgetTopic(t) {
		t.dropMirror()
	}
}

// forgetTopic reports whether it did.
func (h *Hub) forgetTopic(t *topic) bool {
	h.topicMu.Lock()
	defer h.topicMu.Unlock()
	t.Lock()
	defer t.Unlock()
	if t.Readers() > 0 || t.presences != nil || t.dropped {
		return false
	}
	t.dropped = true
	t.Retire()
	h.logBytes.Add(-t.Size())
	delete(h.topics, t.name)
	return true
}

func (h *Hub) expireStreams(now time.Time) {
	for _, s := range h.streams.all() {
		s.log.Lock()
		old := s.status.Ended() && now.Sub(s.ended) > h.limits.StreamTTL || s.remote != nil && s.log.Readers() == 0 && now.Sub(s.remote.used) > mirrorTTL
		s.log.Unlock()
		if old {
			h.dropStream(s)
		}
	}
}

func (h *Hub) dropStream(s *Stream) {
	s.stopTimers()
	if h.streams.remove(s) {
		if s.isRemote() {
			s.unfollow()
		} else {
			h.forgetRecord(s)
		}
		s.log.Lock()
		s.log.Retire()
		h.logBytes.Add(-s.log.Size() - streamCost)
		s.log.Unlock()
	}
}

// room is what is known of eviction for want of memory.
type eviction struct {
	mu       lock.Mutex
	failedAt time.Time // when it was last not enough
}

// evictBackoff is how long nobody tries to evict anything after it was not enough: looking at everything for each publish
// would be an attack in itself.
const evictBackoff = time.Second

// makeRoom returns an error where all logs together take too much, and not enough can be evicted. It is asked before
// anything that can grow.
func (h *Hub) makeRoom() error {
	if h.LogBytes() <= h.limits.LogMemory {
		return nil
	}
	h.eviction.mu.Lock()
	defer h.eviction.mu.Unlock()
	if time.Since(h.eviction.failedAt) >= evictBackoff {
		h.evict()
	}
	if h.LogBytes() <= h.limits.LogMemory {
		return nil
	}
	if time.Since(h.eviction.failedAt) >= evictBackoff {
		h.eviction.failedAt = time.Now()
	}
	return &errs.LimitError{Kind: errs.ErrLimited, Name: "memory for logs (log_memory)", Limit: h.limits.LogMemory, Retry: 5 * time.Second}
}

// evict makes room when all logs together take more than Limits.LogMemory, down to 15/16 of it so that it is not called
// for each event. First go the encodings, which can be made again; then ended streams that nobody reads, the oldest
// before the others; then topics that nobody reads, those first that have not been used for longest. Whoever comes back
// for a stream or topic that is gone is told by a reset, or by 404.
func (h *Hub) evict() {
	if h.LogBytes() <= h.limits.LogMemory {
		return
	}
	enough := h.limits.LogMemory - h.limits.LogMemory/16
	streams := h.streams.all()
	if h.encoded.Load() > 0 {
		for _, s := range streams {
			s.log.ClearEncodings()
		}
		for _, t := range h.allTopics() {
			t.ClearEncodings()
		}
	}
	slices.SortFunc(streams, func(a, b *Stream) int { return a.created.Compare(b.created) })
	for _, s := range streams {
		if h.LogBytes() <= enough {
			return
		}
		if s.idle() {
			h.dropStream(s)
		}
	}
	for _, t := range h.leastUsedTopics() {
		if h.LogBytes() <= enough {
			return
		}
		h.dropTopic(t)
	}
}

// leastUsedTopics returns all topics, those first that have not been used for longest.
func (h *Hub) leastUsedTopics() []*topic {
	all := h.allTopics()
	used := make(map[*topic]time.Time, len(all)) // of now, so that the order holds still
	for _, t := range all {
		t.Lock()
		used[t] = t.lastUsed
		t.Unlock()
	}
	slices.SortFunc(all, func(a, b *topic) int { return used[a].Compare(used[b]) })
	return all
}
