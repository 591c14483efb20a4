package handlers

import (
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// connections counts live responses, all and each user's, and refuses those over the caps. Who is in is never put out for a newcomer.
type connections struct {
	mu     sync.Mutex
	total  int
	byUser map[string]int
}

// enter counts one response of the user in, until leave is called. *LimitError at a cap.
func (c *connections) enter(user string, total, perUser int) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= total {
		return nil, &hub.LimitError{Kind: hub.ErrLimited, Name: "live connections (connections)", Limit: int64(total), Retry: 5 * time.Second}
	}
	if c.byUser[user] >= perUser {
		return nil, &hub.LimitError{Kind: hub.ErrLimited, Name: "live connections of one user (connections_per_user)", Limit: int64(perUser), Retry: 5 * time.Second}
	}
	if c.byUser == nil {
		c.byUser = make(map[string]int)
	}
	c.total++
	c.byUser[user]++
	return func() { c.leave(user) }, nil
}

func (c *connections) leave(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.byUser[user]--; c.byUser[user] == 0 {
		delete(c.byUser, user)
	}
}

// enter counts a session of the user in, which is there until leave is called. *hub.LimitError at a cap.
func (s *server) enter(user string, via hub.Transport) (leave func(), err error) {
	drop, err := s.live.enter(user, s.Connections, s.ConnectionsPerUser)
	if err != nil {
		return nil, err
	}
	gone := s.hub.EnterSession(user, via)
	return func() { gone(); drop() }, nil
}
