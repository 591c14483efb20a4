package socket

import (
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// maxDisconnects is how many disconnects are remembered.
const maxDisconnects = 256

// disconnects remembers who was disconnected lately: a client whose handshake was under way at that moment is on no list yet, and must not slip
// through. The zero value is ready, and safe for concurrent use.
type disconnects struct {
	mu             sync.Mutex
	last           []disconnect // oldest first
	forgottenUntil time.Time    // that of the last one that is not remembered any more
}

type disconnect struct {
	user string
	at   time.Time
}

func (d *disconnects) record(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.last) >= maxDisconnects {
		d.forgottenUntil = d.last[0].at
		d.last = slices.Delete(d.last, 0, 1)
	}
	d.last = append(d.last, disconnect{user, time.Now()})
}

// since reports whether a user was disconnected at a time or later. Where that is not known any more it was: it costs the client a new handshake.
func (d *disconnects) since(user string, began time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.forgottenUntil.IsZero() && !began.After(d.forgottenUntil) ||
		slices.ContainsFunc(d.last, func(one disconnect) bool { return one.user == user && !one.at.Before(began) })
}

// Disconnect closes all sockets of a user with code 1001, and reports how many: the clients come back, if they may. Handshakes that are under way
// at that moment end the same way; they are not counted.
func (s *Server) Disconnect(user string) int {
	s.disconnects.record(user)
	return s.closeAll(func(sock *Socket) bool { return sock.identity().User == user }, closeGoingAway, disconnected)
}

const disconnected = "disconnected"

// DisconnectedSince reports whether Disconnect was called for a user at a time or later. It is for connections of other kinds, whose requests may
// be under way at that moment as well. It may err for times long ago, and then says yes.
func (s *Server) DisconnectedSince(user string, began time.Time) bool {
	return s.disconnects.since(user, began)
}

// CloseRevoked closes all sockets whose token does not hold any more with code 4003, and reports how many. What slips through, because its handshake or
// its renewal is under way, ends within a second.
func (s *Server) CloseRevoked() int {
	return s.closeAll(func(sock *Socket) bool { return s.Revoked(sock.identity()) }, closeRevoked, revoked)
}

const revoked = "the token was revoked"

func (s *Server) closeAll(which func(*Socket) bool, code int, reason string) (closed int) {
	for _, sock := range s.all(nil, which) {
		if sock.transport.close(code, reason) {
			closed++
		}
	}
	return closed
}

// endedMeanwhile returns how a client whose handshake has just been done is to be sent away again; code is 0 if it may stay.
func (s *Server) endedMeanwhile(h *handshake) (code int, reason string) {
	switch {
	case s.isClosing():
		return closeRestarting, restarting
	case s.disconnects.since(h.identity.User, h.began):
		return closeGoingAway, disconnected
	case s.Revoked(h.identity):
		return closeRevoked, revoked
	}
	return 0, ""
}

func neverRevoked(*rights.Identity) bool { return false }
