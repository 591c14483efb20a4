package middleware

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Guests counts the connections on which nobody has shown a credential that holds yet, and closes new ones beyond its limits. A connection is no guest
// any longer once a request on it was let in. Connect it with Watch.
type Guests struct {
	Proxies    *Proxies // whose own addresses are not limited
	Most       int      // guests at one time
	PerAddress int      // and of one address; see Proxies.ClientOf for what that is

	mu     sync.Mutex
	open   map[net.Conn]*guest
	byAddr map[string]int
}

// guest is one connection.
type guest struct {
	host    *Guests
	conn    net.Conn
	addr    string      // "": not limited
	welcome atomic.Bool // it is no guest any longer
}

type guestKey struct{}

// Watch begins to count a server's connections. It leaves the server's own hooks in place.
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

// enter counts a connection that was accepted; state, which is called next, closes it if there was no room.
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
			_ = c.Close() // nothing was said on it
		}
	case http.StateClosed, http.StateHijacked:
		g.leave(c)
	}
}

// leave forgets a guest, if it is one.
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

// Len returns how many guests there are.
func (g *Guests) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Welcome says that a request was let in: its connection is no guest any longer.
func Welcome(ctx context.Context) {
	if guest, ok := ctx.Value(guestKey{}).(*guest); ok && !guest.welcome.Load() {
		guest.welcome.Store(true)
		guest.host.leave(guest.conn)
	}
}
