package httpserver

import (
	"net"
	"net/http"
	"sync"
)

// newConns has the connections on which no request has begun. http.Server.Shutdown waits five seconds for each of them,
// and browsers and Node.js open some in advance, so they are closed at once instead.
type newConns struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// watch records a server's new connections, and closes them when the server shuts down.
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
		_ = c.Close() // no request was sent on it
	}
}
