package handlers

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// connections counts live responses in total, per user, per API key and per address, and refuses new ones beyond the
// limits. It never ends an existing response in favour of a new one.
type connections struct {
	mu    sync.Mutex
	total int
	by    [connectionCounts]map[string]int
}

// Counts of connections, by name.
const (
	byUser = iota
	byKey
	byAddress
	connectionCounts
)

// connectionLimit is the limit of one of the counts.
type connectionLimit struct {
	usage string // the name under which nodes report it to each other
	name  string // in errors
	limit int
}

func (o *Options) connectionLimits() [connectionCounts]connectionLimit {
	return [connectionCounts]connectionLimit{
		byUser: {
			"connections_per_user", "live connections of one user (connections_per_user)", o.ConnectionsPerUser,
		},
		byKey: {"key_connections", "live connections of one API key (key_connections)", o.ConnectionsPerKey},
		byAddress: {
			"connections_per_address", "live connections of one address (connections_per_address)", o.ConnectionsPerAddress,
		},
	}
}

// shareUsage counts the connections of users, API keys and addresses over all nodes. The total is counted on each node
// by itself.
func (c *connections) shareUsage(o *Options) {
	for i, l := range o.connectionLimits() {
		o.Hub.Cluster().ShareUsage(l.usage, l.limit, func(yield func(string, int) bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			maps.All(c.by[i])(yield)
		})
	}
}

// enter counts a response to an identity at an address until leave is called. An API key's connections count against
// its own limit and that of the user for whom it acts, if any; not against that of its address, where all of a server's
// come from. Errors: *errs.LimitError at a limit of o.
func (c *connections) enter(id *rights.Identity, addr string, o *Options) (leave func(), err error) {
	by := ratelimit.Of(id)
	if by.Key != "" {
		addr = ""
	}
	names := [connectionCounts]string{byUser: by.User, byKey: by.Key, byAddress: addr}
	limits := o.connectionLimits()
	var elsewhere [connectionCounts]int
	for i, name := range names {
		elsewhere[i] = o.Hub.Cluster().RemoteUsage(limits[i].usage, name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= o.Connections {
		return nil, tooMany("live connections (connections)", o.Connections)
	}
	for i, name := range names {
		if name != "" && c.by[i][name]+elsewhere[i] >= limits[i].limit {
			return nil, tooMany(limits[i].name, limits[i].limit)
		}
	}
	c.count(names, 1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count(names, -1)
	}, nil
}

// count adds n to the total, and to the counts of names. c.mu is held.
func (c *connections) count(names [connectionCounts]string, n int) {
	c.total += n
	for i, name := range names {
		if name == "" {
			continue
		}
		if c.by[i] == nil {
			c.by[i] = make(map[string]int)
		}
		if c.by[i][name] += n; c.by[i][name] == 0 {
			delete(c.by[i], name)
		}
	}
}

func tooMany(name string, limit int) error {
	return &errs.LimitError{Kind: errs.ErrLimited, Name: name, Limit: int64(limit), Retry: 5 * time.Second}
}

// enter counts a session of the request's user until leave is called. Errors: *errs.LimitError at a limit.
func (s *server) enter(r *http.Request, via hub.Transport) (leave func(), err error) {
	return s.enterAs(r, auth.IdentityFrom(r.Context()), via)
}

// enterAs is enter for a request that authenticates by itself, such as a socket's.
func (s *server) enterAs(r *http.Request, id *rights.Identity, via hub.Transport) (leave func(), err error) {
	leaveCount, err := s.connections.enter(id, s.Proxies.ClientOf(r), &s.Options)
	if err != nil {
		return nil, err
	}
	leaveHub := s.hub.EnterSession(id.User, via)
	return func() { leaveHub(); leaveCount() }, nil
}

// takeRate counts n actions of a request against the rate limits of its user and API key. Errors: *errs.LimitError
// beyond a limit.
func (s *server) takeRate(r *http.Request, k ratelimit.Kind, n int) error {
	if n == 0 {
		return nil
	}
	by := ratelimit.Of(auth.IdentityFrom(r.Context()))
	if k == ratelimit.Cursors && by.User != "" {
		by.User = "requests of " + by.User // all requests of a user share the limit of one session
	}
	return s.rates.Take(k, by, n)
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
