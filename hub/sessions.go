package hub

import "sync"

// sessions counts who is connected: each user's sessions on any transport, and requests that wait for something.
type sessions struct {
	mu     sync.Mutex
	byUser map[string]int
}

// EnterSession notes that a user is there, until leave is called, once. What is meant for a user who is not there waits in the queue.
func (h *Hub) EnterSession(user string) (leave func()) {
	s := &h.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUser == nil {
		s.byUser = make(map[string]int)
	}
	s.byUser[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byUser[user]--; s.byUser[user] == 0 {
			delete(s.byUser, user)
		}
	}
}

// IsThere reports whether a user has a session.
func (h *Hub) IsThere(user string) bool {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return h.sessions.byUser[user] > 0
}
