package hub

import "time"

// isVain reports whether a stream ended without having made anything, and not because a user wanted it to: a retry of
// the same request deserves another attempt.
func (s *Stream) isVain() bool {
	s.log.Lock()
	defer s.log.Unlock()
	if s.account.made > 0 {
		return false
	}
	switch s.status {
	case StatusFailed, StatusInterrupted:
		return true
	case StatusCancelled:
		return s.ending.Error != nil && s.ending.Error.Code == codeUnwatched
	}
	return false
}

// isVainFor is isVain for a request with that digest.
func (s *Stream) isVainFor(digest string) bool { return s.digest == digest && s.isVain() }

// freeVainAlias frees the alias of a new stream if it names one of the same request that is vain.
func (h *Hub) freeVainAlias(spec *StreamSpec) {
	if spec.Alias == "" {
		return
	}
	if old := h.streams.aliased(spec.Owner, spec.Alias); old != nil && old.isVainFor(spec.Digest) {
		h.streams.freeAlias(old, aliasKey{spec.Owner, spec.Alias})
	}
}

// abandonedWithin is how soon a stream that its watchers have left must be about to be cancelled to count as abandoned.
// A request that wants a longer time means it.
const abandonedWithin = time.Minute

// cancelAbandoned cancels the oldest of the streams that match, that their watchers have left, and that would be
// cancelled soon for that reason. Streams with an id of their owner's stay: he comes back to them. It reports false if
// there is none.
func (h *Hub) cancelAbandoned(match func(*Stream) bool) bool {
	var oldest *Stream
	for _, s := range h.streams.all() {
		if match(s) && (oldest == nil || s.created.Before(oldest.created)) && s.isAbandoned() {
			oldest = s
		}
	}
	return oldest != nil && oldest.cancelUnwatched()
}

func (s *Stream) isAbandoned() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.idleTimer != nil && s.left && s.Idle.CancelAfter <= abandonedWithin && len(s.aliases) == 0 &&
		s.watchersLocked() == 0 && !s.status.Ended()
}
