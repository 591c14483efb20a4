package handlers

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// responses is the requests that take long, so that they can be ended for their user. The zero value is ready.
type responses struct {
	mu  sync.Mutex
	all map[*response]struct{}
}

// response is one of them. end must not block, and may be called more than once.
type response struct {
	identity *rights.Identity
	end      func(reason string)
}

func (l *responses) add(r *response) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[*response]struct{})
	}
	l.all[r] = struct{}{}
	return func() {
		l.mu.Lock()
		delete(l.all, r)
		l.mu.Unlock()
	}
}

// end ends those of which says yes, and reports how many.
func (l *responses) end(which func(*rights.Identity) bool, reason string) int {
	l.mu.Lock()
	var list []*response
	for r := range l.all {
		if which(r.identity) {
			list = append(list, r)
		}
	}
	l.mu.Unlock()
	for _, r := range list {
		r.end(reason)
	}
	return len(list)
}

// onEnd has end called when the request's user is disconnected or its token revoked, until forget is called; at once where that has happened since
// the request came.
func (s *server) onEnd(r *http.Request, end func(reason string)) (forget func()) {
	id := auth.IdentityFrom(r.Context())
	forget = s.responses.add(&response{id, end})
	switch {
	case s.Verifier.Revocations().Revoked(id):
		end(live.ByeUnauthorized)
	case s.sockets.DisconnectedSince(id.User, middleware.StartOf(r.Context())):
		end(live.ByeDisconnected)
	}
	return forget
}

// endedError is the error that a request is answered with which was ended for a reason.
func endedError(reason string) error {
	if reason == live.ByeUnauthorized {
		return fmt.Errorf("the token does not hold any more: %w", errs.ErrUnauthenticated)
	}
	return fmt.Errorf("disconnected; come back, and go on with what was not done: %w", errs.ErrUnavailable)
}

// disconnectHere ends everything of a user that goes on on this node, and reports how much.
func (s *server) disconnectHere(user string) int {
	sockets := s.sockets.Disconnect(user) // first: it is what requests that are under way ask about
	return sockets + s.responses.end(func(id *rights.Identity) bool { return id.User == user }, live.ByeDisconnected)
}

// endRevoked ends everything on this node whose token does not hold any more, and reports how much.
func (s *server) endRevoked() int {
	return s.sockets.CloseRevoked() + s.responses.end(s.Verifier.Revocations().Revoked, live.ByeUnauthorized)
}
