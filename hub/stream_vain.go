package hub

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

// freeVainAlias frees an owner's alias if it names a stream that is vain, so that a new stream can take it.
func (h *Hub) freeVainAlias(owner, alias string) {
	if alias == "" {
		return
	}
	if old := h.streams.aliased(owner, alias); old != nil && old.isVain() {
		h.streams.freeAlias(old, aliasKey{owner, alias})
	}
}

// cancelAbandoned cancels the oldest of an owner's streams that nobody watches and that would be cancelled soon for
// that reason. It reports false if there is none.
func (h *Hub) cancelAbandoned(by holder) bool {
	var oldest *Stream
	for _, s := range h.streams.all() {
		if s.holder() == by && (oldest == nil || s.created.Before(oldest.created)) && s.isAbandoned() {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	oldest.cancelUnwatched()
	return true
}

// isAbandoned reports whether the stream was watched, is not any longer, and waits to be cancelled.
func (s *Stream) isAbandoned() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.idleTimer != nil && s.left && s.watchersLocked() == 0 && !s.status.Ended()
}
