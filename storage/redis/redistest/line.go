package redistest

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
)

// Line is the network between one node and a server. Other nodes cannot tell a node whose line is cut from one that
// has died. The zero value works.
type Line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// Dial connects to a server: redis.Options.Dial.
func (l *Line) Dial(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		conn.Close()
		return nil, errors.New("the line is cut")
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

// Cut closes all connections, and makes dialling fail.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, conn := range l.conns {
		conn.Close()
	}
}

// Mend makes dialling work again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}
