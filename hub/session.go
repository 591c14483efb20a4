package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Transport is how a session is connected.
type Transport uint8

// The transports: sockets, long answers, and requests that wait for an answer.
const (
	ViaWebSocket Transport = iota
	ViaSSESocket
	ViaLongPoll
	ViaSSE
	ViaNDJSON
	ViaText
	ViaWait

	// Transports is how many there are.
	Transports = iota
)

// String returns the name of a transport.
func (t Transport) String() string {
	return [Transports]string{"websocket", "sse_socket", "longpoll", "sse", "ndjson", "text", "wait"}[t]
}

// sessions counts who is connected: each user's sessions on any transport, and requests that wait for something.
type sessions struct {
	mu     lock.Mutex
	byUser map[string]*UserSessions
	all    [Transports]int
	opened [Transports]uint64 // since the start
}

// UserSessions are one user's sessions.
type UserSessions struct {
	User  string
	Since time.Time // when the user came, with the first of them
	Total int
	By    [Transports]int
}

// EnterSession notes that a user is there, until leave is called, once. What is meant for a user who is not there waits
// in the queue.
func (h *Hub) EnterSession(user string, via Transport) (leave func()) {
	s := &h.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUser == nil {
		s.byUser = make(map[string]*UserSessions)
	}
	u := s.byUser[user]
	if u == nil {
		u = &UserSessions{User: user, Since: time.Now()}
		s.byUser[user] = u
	}
	s.count(u, via, 1)
	s.opened[via]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.count(u, via, -1); u.Total == 0 {
			delete(s.byUser, user)
		}
	}
}

func (s *sessions) count(u *UserSessions, via Transport, n int) {
	s.all[via] += n
	u.By[via] += n
	u.Total += n
}

// IsThere reports whether a user has a session.
func (h *Hub) IsThere(user string) bool {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return h.sessions.byUser[user] != nil
}

// Sessions returns the users with the most sessions, those of equally many by their names, at most limit; how many
// users are there, and how many sessions on each transport.
func (h *Hub) Sessions(limit int) (list []UserSessions, users int, by [Transports]int) {
	s := &h.sessions
	s.mu.Lock()
	list = make([]UserSessions, 0, len(s.byUser))
	for _, u := range s.byUser {
		list = append(list, *u)
	}
	by = s.all
	s.mu.Unlock()
	return sortSessions(list, limit), len(list), by
}
