package hub

import (
	"slices"
	"time"
)

// cleanUpEvery is how often what has expired is dropped.
const cleanUpEvery = 5 * time.Second

// cleanUp drops what has expired, a topic or stream at a time so that nothing stalls, until the hub closes.
func (h *Hub) cleanUp() {
	tick := time.NewTicker(cleanUpEvery)
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
		t.mu.Lock()
		before := t.bytes
		t.trimOver(now)
		h.logBytes.Add(t.bytes - before)
		idle := t.readers == 0 && t.presences == nil && len(t.entries) == 0 && now.Sub(t.used) > h.limits.HistoryTTL
		t.mu.Unlock()
		if idle {
			h.dropTopic(t)
		}
	}
}

// dropTopic forgets a topic that nobody reads, and where nobody is present or looks at who is. Its next life has another epoch, so nobody is deceived.
func (h *Hub) dropTopic(t *topic) {
	h.topicMu.Lock()
	defer h.topicMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers > 0 || t.presences != nil || t.gone {
		return
	}
	t.gone = true
	h.logBytes.Add(-t.bytes)
	delete(h.topics, t.name)
}

func (h *Hub) expireStreams(now time.Time) {
	for _, s := range h.streams.all() {
		s.log.mu.Lock()
		old := s.status.Ended() && now.Sub(s.ended) > h.limits.StreamTTL
		s.log.mu.Unlock()
		if old {
			h.dropStream(s)
		}
	}
}

func (h *Hub) dropStream(s *Stream) {
	s.stopTimers()
	if h.streams.remove(s) {
		h.forgetRecord(s)
		s.log.mu.Lock()
		h.logBytes.Add(-s.log.bytes)
		s.log.mu.Unlock()
	}
}

// makeRoom returns an error where all logs together take too much, and nothing can be evicted.
func (h *Hub) makeRoom() error {
	if h.logBytes.Load() <= h.limits.LogMemory {
		return nil
	}
	if h.evict(); h.logBytes.Load() <= h.limits.LogMemory {
		return nil
	}
	return &LimitError{Kind: ErrLimited, Name: "memory for logs (log_memory)", Limit: h.limits.LogMemory, Retry: 5 * time.Second}
}

// evict makes room when all logs together take more than Limits.LogMemory: ended streams that nobody reads go first, the oldest before the
// others; then topics that nobody reads. Who comes back for them is told by a reset, or by 404.
func (h *Hub) evict() {
	if h.logBytes.Load() <= h.limits.LogMemory {
		return
	}
	streams := h.streams.all()
	slices.SortFunc(streams, func(a, b *Stream) int { return a.created.Compare(b.created) })
	for _, s := range streams {
		if h.logBytes.Load() <= h.limits.LogMemory {
			return
		}
		if s.idle() {
			h.dropStream(s)
		}
	}
	for _, t := range h.allTopics() {
		if h.logBytes.Load() <= h.limits.LogMemory {
			return
		}
		h.dropTopic(t)
	}
}
