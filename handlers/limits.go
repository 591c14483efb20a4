package handlers

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// connections counts live responses in total, per user and per address, and refuses new ones beyond the limits. It
// never ends an existing response in favour of a new one.
type connections struct {
	mu     sync.Mutex
	total  int
	byUser map[string]int
	byAddr map[string]int
}

// Names of counts that are shared with other nodes.
const (
	usageByUser    = "connections_per_user"
	usageByAddress = "connections_per_address"
)

// shareUsage counts the connections of users and addresses over all nodes. The total is counted on each node by itself.
func (c *connections) shareUsage(o *Options) {
	for name, limit := range map[string]int{usageByUser: o.ConnectionsPerUser, usageByAddress: o.ConnectionsPerAddress} {
		o.Hub.Cluster().ShareUsage(name, limit, func(yield func(string, int) bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			counts := c.byUser
			if name == usageByAddress {
				counts = c.byAddr
			}
			maps.All(counts)(yield)
		})
	}
}

// enter counts a response to a user at an address until leave is called. Errors: *errs.LimitError at a limit of o.
func (c *connections) enter(user, addr string, o *Options) (leave func(), err error) {
	cluster := o.Hub.Cluster()
	userElsewhere, addrElsewhere := cluster.RemoteUsage(usageByUser, user), cluster.RemoteUsage(usageByAddress, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.total >= o.Connections:
		return nil, tooMany("live connections (connections)", o.Connections)
	case c.byUser[user]+userElsewhere >= o.ConnectionsPerUser:
		return nil, tooMany("live connections of one user (connections_per_user)", o.ConnectionsPerUser)
	case addr != "" && c.byAddr[addr]+addrElsewhere >= o.ConnectionsPerAddress:
		return nil, tooMany("live connections of one address (connections_per_address)", o.ConnectionsPerAddress)
	}
	if c.byUser == nil {
		c.byUser, c.byAddr = make(map[string]int), make(map[string]int)
	}
	c.total++
	c.byUser[user]++
	c.byAddr[addr]++
	return func() { c.leave(user, addr) }, nil
}

func tooMany(name string, limit int) error {
	return &errs.LimitError{Kind: errs.ErrLimited, Name: name, Limit: int64(limit), Retry: 5 * time.Second}
}

func (c *connections) leave(user, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	decrement(c.byUser, user)
	decrement(c.byAddr, addr)
}

func decrement(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// enter counts a session of the user until leave is called. Errors: *errs.LimitError at a limit.
func (s *server) enter(r *http.Request, user string, via hub.Transport) (leave func(), err error) {
	leaveCount, err := s.connections.enter(user, s.Proxies.ClientOf(r), &s.Options)
	if err != nil {
		return nil, err
	}
	leaveHub := s.hub.EnterSession(user, via)
	return func() { leaveHub(); leaveCount() }, nil
}

// takeRate counts n actions of a request against its user's rate limit. Errors: *errs.LimitError beyond the limit.
func (s *server) takeRate(r *http.Request, k ratelimit.Kind, n int) error {
	if n == 0 {
		return nil
	}
	key := auth.IdentityFrom(r.Context()).User
	if k == ratelimit.Cursors {
		key = "requests of " + key // all requests of a user share the limit of one session
	}
	return s.rates.Take(k, key, n)
}

// takeEventRates counts published events against the rate limit of each event's kind.
func (s *server) takeEventRates(r *http.Request, events []hub.EventInput) error {
	var n struct{ events, cursors, queue int }
	for i := range events {
		switch {
		case events[i].Durable:
			n.queue++
		case events[i].Ephemeral:
			n.cursors++
		default:
			n.events++
		}
	}
	if err := s.takeRate(r, ratelimit.Queue, n.queue); err != nil {
		return err
	}
	if err := s.takeRate(r, ratelimit.Events, n.events); err != nil {
		return err
	}
	return s.takeRate(r, ratelimit.Cursors, n.cursors)
}
