package socket_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// slowIdentify blocks handshakes after their token was accepted.
type slowIdentify struct{ entered, open chan struct{} }

func newSlowDoor() slowIdentify { return slowIdentify{make(chan struct{}), make(chan struct{})} }

func (d slowIdentify) identify(r *http.Request, _ string) (*rights.Identity, error) {
	id := &rights.Identity{User: r.URL.Query().Get("user")}
	if r.URL.Query().Has("slow") {
		d.entered <- struct{}{}
		<-d.open
	}
	return id, nil
}

// TestHandshakesDuringDisconnect: a handshake that is in progress when its user is disconnected, or its token revoked,
// ends, too.
func TestHandshakesDuringDisconnect(t *testing.T) {
	door, revoked := newSlowDoor(), atomic.Bool{}
	s := start(
		t, socket.Options{Identify: door.identify, Revoked: func(*rights.Identity) bool { return revoked.Load() }},
		hub.Limits{},
	)
	for i, end := range []struct {
		do   func()
		code int
	}{
		{func() { s.Disconnect("ada") }, 1001},
		{func() { // so many that this disconnect is forgotten
			s.Disconnect("ada")
			for i := range 300 {
				s.Disconnect(fmt.Sprint(i))
			}
		}, 1001},
		{func() { revoked.Store(true); s.CloseRevoked() }, 4003},
	} {
		open := make(chan *client, 1)
		go func() { open <- s.dial("user=ada&slow") }()
		<-door.entered
		end.do()
		door.open <- struct{}{}
		(<-open).wantClose(websocket.StatusCode(end.code))
		polled := make(chan answer, 1)
		go func() { polled <- s.poll("GET", "user=ada&slow", "", "") }()
		<-door.entered
		end.do()
		door.open <- struct{}{}
		if a := <-polled; a.Status != 500 {
			t.Errorf("%d: a long-poll: %+v", i, a)
		}
	}
}

// TestDisconnectIsOver: a client that connects after the disconnect may stay, and so may other users during it.
func TestDisconnectIsOver(t *testing.T) {
	door := newSlowDoor()
	s := start(t, socket.Options{Identify: door.identify}, hub.Limits{})
	open := make(chan *client, 1)
	go func() { open <- s.dial("user=bob&slow") }()
	<-door.entered
	ada := s.dial("user=ada")
	ada.settled() // then the socket is registered, which happens shortly after the handshake
	if n := s.Disconnect("ada"); n != 1 {
		t.Errorf("disconnected %d", n)
	}
	door.open <- struct{}{}
	ada.wantClose(1001)
	(<-open).settled()
	s.dial("user=ada").settled()
}

// TestRevokedTokensEndSoon: a token that another process revoked, without notifying this one, ends its sockets soon.
func TestRevokedTokensEndSoon(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		var revoked atomic.Bool
		id := &rights.Identity{User: "ada"}
		s := start(t, socket.Options{
			Identify: func(*http.Request, string) (*rights.Identity, error) { return id, nil },
			Revoked:  func(*rights.Identity) bool { return revoked.Load() },
		}, hub.Limits{})
		c := s.dial("")
		c.settled()
		revoked.Store(true)
		c.wantClose(4003)
	})
}
