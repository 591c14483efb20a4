package redis

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// connSet is the set of a store's connections to Redis. When a master is replaced, its address may lead to the new one
// while connections to the old one stay open. So when a server turns out not to be the master, all connections are
// closed; the client dials again when it needs them.
type connSet struct {
	dial func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error)

	mu     sync.Mutex
	open   map[*trackedConn]struct{}
	closed time.Time // time of the last closeAll
}

// trackedConn is one connection of a set.
type trackedConn struct {
	net.Conn
	set *connSet
}

// Close closes the connection, and removes it from the set.
func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// connect dials, and adds the connection to the set.
func (s *connSet) connect(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (
	net.Conn, error,
) {
	conn, err := s.dial(ctx, address, dialer, config)
	if err != nil {
		return nil, err
	}
	c := &trackedConn{conn, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	return c, nil
}

// dialDirectly dials TCP, with TLS if there is a config.
func dialDirectly(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
}

// closePause is the minimum time between two calls of closeAll that close connections: the address may not lead to the
// new master yet.
const closePause = 250 * time.Millisecond

// closeAll closes all connections.
func (s *connSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.closed) < closePause {
		return
	}
	s.closed = time.Now()
	for c := range s.open {
		_ = c.Conn.Close() // its user gets an error, and closes it as well
	}
	clear(s.open)
}

// demoted reports whether an error comes from a server that is not the master: it is a replica, or it is loading data
// from its new master.
func demoted(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	text := e.Error()
	for _, sign := range []string{"READONLY ", "MASTERDOWN ", "LOADING ", "WAIT cannot be used with replica"} {
		if strings.Contains(text, sign) { // also within the error of a script
			return true
		}
	}
	return false
}

// checkMaster closes all connections if one of the answers comes from a server that is not the master. It returns the
// answers.
func (s *Store) checkMaster(answers ...rueidis.RedisResult) []rueidis.RedisResult {
	for i := range answers {
		if demoted(answers[i].Error()) {
			s.Logger.Warn("the Redis server is not the master any more; reconnecting", "error", answers[i].Error())
			s.conns.closeAll()
			break
		}
	}
	return answers
}
