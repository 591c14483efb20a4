package middleware

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Guests counts the connections on which no request has been authenticated yet, and closes new connections beyond its
// limits. A connection stops being a guest with its first authenticated request (see Welcome). Watch attaches a Guests
// to a server.
type Guests struct {
	Proxies    *Proxies // addresses of trusted proxies are exempt from PerAddress
	Most       int      // limit on guests in total
	PerAddress int      // limit on guests per address; see AddrKey

	mu     sync.Mutex
	open   map[net.Conn]*guest
	byAddr map[string]int
}

// guest is a connection without an authenticated request.
type guest struct {
	host    *Guests
	conn    net.Conn
	addr    string      // key of Guests.byAddr; "": exempt from PerAddress
	welcome atomic.Bool // set once a request was authenticated
}

type guestKey struct{}

// Watch starts counting a server's connections. It calls the server's existing hooks, too.
func (g *Guests) Watch(srv *http.Server) {
	g.open, g.byAddr = make(map[net.Conn]*guest), make(map[string]int)
	connContext, connState := srv.ConnContext, srv.ConnState
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return context.WithValue(ctx, guestKey{}, g.enter(c))
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		g.state(c, state)
		if connState != nil {
			connState(c, state)
		}
	}
}

// enter counts an accepted connection if it is within the limits. Otherwise state, which net/http calls next, closes
// it.
func (g *Guests) enter(c net.Conn) *guest {
	peer := PeerAddr(c.RemoteAddr().String())
	guest := &guest{host: g, conn: c}
	if !g.Proxies.Trusts(peer) {
		guest.addr = AddrKey(peer)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) < g.Most && (guest.addr == "" || g.byAddr[guest.addr] < g.PerAddress) {
		g.open[c] = guest
		g.byAddr[guest.addr]++
	}
	return guest
}

func (g *Guests) state(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		g.mu.Lock()
		_, in := g.open[c]
		g.mu.Unlock()
		if !in {
			_ = c.Close() // rejected by enter; nothing was written, so an error does not matter
		}
	case http.StateClosed, http.StateHijacked:
		g.leave(c)
	}
}

// leave stops counting a connection.
func (g *Guests) leave(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	guest, in := g.open[c]
	if !in {
		return
	}
	delete(g.open, c)
	if g.byAddr[guest.addr]--; g.byAddr[guest.addr] == 0 {
		delete(g.byAddr, guest.addr)
	}
}

// Len returns the number of guests.
func (g *Guests) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Welcome reports that a request was authenticated: its connection is no longer a guest.
func Welcome(ctx context.Context) {
	if guest, ok := ctx.Value(guestKey{}).(*guest); ok && !guest.welcome.Load() {
		guest.welcome.Store(true)
		guest.host.leave(guest.conn)
	}
}
