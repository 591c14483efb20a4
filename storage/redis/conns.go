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

// connSet are a store's connections to Redis. Where a master is replaced, the address may lead to the new one while
// connections to the old one stay, until somebody kills them. Then they are all ended, and are dialled anew when they
// are needed next.
type connSet struct {
	dial func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error)

	mu     sync.Mutex
	open   map[*trackedConn]struct{}
	closed time.Time // when they were last ended
}

// trackedConn is one connection.
type trackedConn struct {
	net.Conn
	set *connSet
}

// Close ends the connection.
func (l *trackedConn) Close() error {
	l.set.mu.Lock()
	delete(l.set.open, l)
	l.set.mu.Unlock()
	return l.Conn.Close()
}

// connect dials.
func (ls *connSet) connect(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (
	net.Conn, error,
) {
	conn, err := ls.dial(ctx, address, dialer, config)
	if err != nil {
		return nil, err
	}
	l := &trackedConn{conn, ls}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.open[l] = struct{}{}
	return l, nil
}

// dialDirectly connects over TCP, and TLS where there is a config.
func dialDirectly(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
}

// closePause is how long it takes at least before connections are ended again: the address may not lead elsewhere yet.
const closePause = 250 * time.Millisecond

// closeAll ends all connections.
func (ls *connSet) closeAll() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if time.Since(ls.closed) < closePause {
		return
	}
	ls.closed = time.Now()
	for l := range ls.open {
		_ = l.Conn.Close() // whoever uses it finds out, and closes it
	}
	clear(ls.open)
}

// demoted reports whether a server answers as one that is no master: it is a replica, or loads what its new master has.
func demoted(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	text := e.Error()
	for _, sign := range []string{"READONLY ", "MASTERDOWN ", "LOADING ", "WAIT cannot be used with replica"} {
		if strings.Contains(text, sign) { // inside a script's error, too
			return true
		}
	}
	return false
}

// checkMaster looks whether one of these answers comes from a server that is no master, and returns them.
func (s *Store) checkMaster(answers ...rueidis.RedisResult) []rueidis.RedisResult {
	for i := range answers {
		if demoted(answers[i].Error()) {
			s.Logger.Warn("Redis is no master any more; it is dialled anew", "error", answers[i].Error())
			s.conns.closeAll()
			break
		}
	}
	return answers
}
