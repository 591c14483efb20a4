package socket

import (
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// maxDisconnects is the number of disconnects that are remembered.
const maxDisconnects = 256

// disconnects remembers recent disconnects. A client whose handshake was under way at that moment is not in the list of
// sockets yet, and is checked against them after its handshake. The zero value is ready for use. Safe for concurrent
// use.
type disconnects struct {
	mu             sync.Mutex
	last           []disconnect // oldest first
	forgottenUntil time.Time    // time of the newest disconnect that was dropped from last
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

// since reports whether an identity's user, or who acts for it, was disconnected at a time or later. For times that are
// not covered any more it returns true, which costs the client a new handshake.
func (d *disconnects) since(id *rights.Identity, began time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.forgottenUntil.IsZero() && !began.After(d.forgottenUntil) ||
		slices.ContainsFunc(d.last, func(one disconnect) bool { return id.Concerns(one.user) && !one.at.Before(began) })
}

// Disconnect closes all sockets of a user, and those by which it acts for others, with code 1001, and returns how many.
// The clients reconnect if they may. Handshakes that are under way at that moment end in the same way, but are not
// counted.
func (s *Server) Disconnect(user string) int {
	s.disconnects.record(user)
	return s.closeAll(func(sock *Socket) bool { return sock.identity().Concerns(user) }, closeGoingAway, disconnected)
}

const disconnected = "disconnected"

// DisconnectedSince reports whether Disconnect was called for an identity's user, or who acts for it, at a time or
// later. It serves connections of other kinds, whose requests may be under way at that moment as well. For times long
// ago it may wrongly return true.
func (s *Server) DisconnectedSince(id *rights.Identity, began time.Time) bool {
	return s.disconnects.since(id, began)
}

// CloseRevoked closes all sockets whose token was revoked, with code 4003, and returns how many it closed. A socket
// that it misses, because its handshake or the refresh of its token is under way, is closed within a second.
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

// endedMeanwhile reports whether a client must be closed again right after its handshake, and with which code; code is
// 0 if it may stay.
func (s *Server) endedMeanwhile(h *handshake) (code int, reason string) {
	switch {
	case s.isClosing():
		return closeRestarting, restarting
	case s.disconnects.since(h.identity, h.began):
		return closeGoingAway, disconnected
	case s.Revoked(h.identity):
		return closeRevoked, revoked
	}
	return 0, ""
}

func neverRevoked(*rights.Identity) bool { return false }
