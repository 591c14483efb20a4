package middleware_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

// fromAddr is a connection with the given remote address.
type fromAddr struct {
	net.Conn
	addr   string
	closed bool
}

func (c *fromAddr) RemoteAddr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", c.addr)
	must(err)
	return addr
}

func (c *fromAddr) Close() error {
	c.closed = true
	return nil
}

// hall is a server whose connections the test creates.
type hall struct {
	*middleware.Guests
	srv http.Server
}

func newHall(most, perAddress int) *hall {
	proxies, err := middleware.ParseProxies([]string{"10.0.0.0/8"})
	must(err)
	h := &hall{Guests: &middleware.Guests{Proxies: proxies, Most: most, PerAddress: perAddress}}
	h.Watch(&h.srv)
	return h
}

// come does what net/http does with an accepted connection.
func (h *hall) come(addr string) (*fromAddr, context.Context) {
	c := &fromAddr{addr: addr}
	ctx := h.srv.ConnContext(context.Background(), c)
	h.srv.ConnState(c, http.StateNew)
	return c, ctx
}

func TestGuestsOfOneAddress(t *testing.T) {
	h := newHall(100, 2)
	first, ctx := h.come("198.51.100.1:1")
	h.come("198.51.100.1:2")
	if c, _ := h.come("198.51.100.1:3"); !c.closed {
		t.Error("a third guest of an address")
	}
	if c, _ := h.come("198.51.100.2:1"); c.closed {
		t.Error("another address is refused")
	}
	for range 10 {
		for _, addr := range []string{"127.0.0.1:1", "10.0.0.1:1"} {
			if c, _ := h.come(addr); c.closed {
				t.Errorf("%s is limited as if it were one client", addr)
			}
		}
	}
	request := new(http.Request).WithContext(ctx)
	for range 2 { // a connection has many requests
		middleware.Welcome(request.Context())
	}
	if c, _ := h.come("198.51.100.1:4"); c.closed {
		t.Error("a client that was let in counts as a guest")
	}
	if c, _ := h.come("198.51.100.1:5"); !c.closed {
		t.Error("a client that was let in twice counts as less than none")
	}
	h.srv.ConnState(first, http.StateClosed)
	if c, _ := h.come("198.51.100.1:6"); !c.closed {
		t.Error("its end makes room for another guest")
	}
}

func TestGuestsInAll(t *testing.T) {
	h := newHall(3, 100)
	var conns []*fromAddr
	for _, addr := range []string{"198.51.100.1:1", "127.0.0.1:1", "10.0.0.1:1", "198.51.100.2:1"} {
		c, _ := h.come(addr)
		conns = append(conns, c)
	}
	if h.Len() != 3 || !conns[3].closed || conns[2].closed {
		t.Errorf("%d guests", h.Len())
	}
	h.srv.ConnState(conns[3], http.StateClosed) // it was not a guest
	h.srv.ConnState(conns[0], http.StateHijacked)
	h.srv.ConnState(conns[1], http.StateActive)
	h.srv.ConnState(conns[1], http.StateIdle)
	if h.Len() != 2 {
		t.Errorf("%d guests, want 2", h.Len())
	}
}
