package hub

import (
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Transport is how a session is connected.
type Transport uint8

// The transports: Phoenix sockets, streaming responses, and requests that wait for one answer.
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

// sessions counts sessions by user and transport. A request that waits for an answer counts as a session.
type sessions struct {
	mu     lock.Mutex
	byUser map[string]*UserSessions
	all    [Transports]int
	opened [Transports]uint64 // since the hub's start
}

// UserSessions are one user's sessions.
type UserSessions struct {
	User  string
	Since time.Time // since when the user has had at least one
	Total int
	By    [Transports]int
}

// EnterSession counts a session of the user's until leave is called, which the caller does exactly once. Results for a
// user without a session go to the user's queue.
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

// HasSession reports whether a user has a session on this node.
func (h *Hub) HasSession(user string) bool { return h.sessions.has(user) }

// has reports whether the user has a session.
func (s *sessions) has(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUser[user] != nil
}

// answer answers callSession.
func (s *sessions) answer(user []byte) ([]byte, error) {
	if s.has(string(user)) {
		return []byte("here"), nil
	}
	return nil, nil
}

// Sessions returns the users with the most sessions, at most limit, sorted by number and name; how many users have
// sessions; and how many sessions there are on each transport.
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
