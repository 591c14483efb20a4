package httpserver

import (
	"net"
	"net/http"
	"sync"
)

// newConns are the connections on which no request has begun. http.Server.Shutdown waits five seconds for each of them,
// and browsers and Node.js open some before they need them. So they are closed at once instead.
type newConns struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// watch follows a server's connections, and closes the new ones when the server shuts down.
func (n *newConns) watch(srv *http.Server) {
	n.open = make(map[net.Conn]struct{})
	srv.ConnState = n.state
	srv.RegisterOnShutdown(n.close)
}

func (n *newConns) state(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state == http.StateNew {
		n.open[c] = struct{}{}
	} else {
		delete(n.open, c)
	}
}

func (n *newConns) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		_ = c.Close() // nothing was said on it
	}
}
