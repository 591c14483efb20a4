package hub

import (
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// cleanUpInterval is how often expired topics, streams and messages are dropped.
const cleanUpInterval = 5 * time.Second

// cleanUp drops what has expired until the hub closes. It locks one topic or stream at a time, so that no other work
// waits for long.
func (h *Hub) cleanUp() {
	tick := time.NewTicker(cleanUpInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-tick.C:
			h.topics.expire(now)
			h.cluster.settleClaims()
			h.expireStreams(now)
			h.queues.expire(h.queues.expiryTime())
			h.evict()
		}
	}
}

func (h *Hub) expireStreams(now time.Time) {
	for _, s := range h.streams.all() {
		s.log.Lock()
		expired := s.status.Ended() && now.Sub(s.ended) > h.limits.StreamTTL
		unusedMirror := s.remote != nil && s.log.Readers() == 0 && now.Sub(s.remote.used) > mirrorTTL
		claimed := s.claimedLocked()
		s.log.Unlock()
		if (expired || unusedMirror) && !claimed {
			h.dropStream(s)
		}
	}
}

// dropStream drops a registered stream. It may be called twice. The recorder knows that the id is to be deleted before
// the registry gives it to another stream.
func (h *Hub) dropStream(s *Stream) {
	s.stopTimers()
	s.log.Lock()
	dropped, remote := s.dropped, s.remote != nil
	s.dropped = true
	s.log.Unlock()
	if dropped {
		return
	}
	if !remote {
		h.recorder.forget(s)
	}
	if !h.streams.remove(s) {
		return
	}
	if remote {
		s.unfollow()
	}
	s.log.Lock()
	s.log.Retire()
	h.logBytes.Add(-s.log.Size() - streamCost)
	s.log.Unlock()
}

// eviction serializes evictions for want of memory, and limits how often they are tried.
type eviction struct {
	mu       lock.Mutex
	failedAt time.Time // when an eviction last did not free enough
}

// evictBackoff is how long no eviction is tried after one that did not free enough. An eviction visits every topic and
// stream, so a client that could cause one with each publish could slow down the whole server.
const evictBackoff = time.Second

// makeRoom returns a *LimitError if all logs together exceed Limits.LogMemory and eviction cannot free enough. Callers
// ask before they begin anything that grows a log.
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
	return &errs.LimitError{
		Kind: errs.ErrLimited, Name: "memory for logs (log_memory)", Limit: h.limits.LogMemory, Retry: 5 * time.Second,
	}
}

// evict frees memory when all logs together exceed Limits.LogMemory. It frees down to 15/16 of the limit, so that it
// does not run for each event. First it drops cached encodings, which can be made again; then ended streams without
// readers, the oldest first; then topics without readers, the least recently used first. A client that comes back for
// an evicted stream or topic gets a reset, or 404.
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
		for _, t := range h.topics.all() {
			t.ClearEncodings()
		}
	}
	slices.SortFunc(streams, func(a, b *Stream) int { return a.created.Compare(b.created) })
	for _, s := range streams {
		if h.LogBytes() <= enough {
			return
		}
		if s.isEvictable() {
			h.dropStream(s)
		}
	}
	for _, t := range h.topics.leastUsed() {
		if h.LogBytes() <= enough {
			return
		}
		h.topics.drop(t)
	}
}
