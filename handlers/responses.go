package handlers

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// responses lists long-running requests, so that they can be ended for their user. The zero value is ready for use.
type responses struct {
	mu  sync.Mutex
	all map[*response]struct{}
}

// response is a long-running request. end must not block, and may be called more than once.
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

// end ends the requests for whose identity which returns true, and returns how many it ended.
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

// onEnd calls end when the request's user is disconnected or its token revoked, until forget is called. It calls end at
// once if that happened since the request started.
func (s *server) onEnd(r *http.Request, end func(reason string)) (forget func()) {
	id := auth.IdentityFrom(r.Context())
	forget = s.responses.add(&response{id, end})
	switch {
	case s.Verifier.Revocations().Revoked(id):
		end(live.ByeUnauthorized)
	case s.sockets.DisconnectedSince(id, middleware.StartOf(r.Context())):
		end(live.ByeDisconnected)
	}
	return forget
}

// untilEnd returns the request's context, which ends when onEnd calls end, too. Its cause is then the error to answer
// with. The caller must call done.
func (s *server) untilEnd(r *http.Request) (ctx context.Context, done func()) {
	ctx, end := context.WithCancelCause(r.Context())
	forget := s.onEnd(r, func(reason string) { end(endedError(reason)) })
	return ctx, func() {
		forget()
		end(nil)
	}
}

// endedError returns the error to answer with for a request that was ended for a reason.
func endedError(reason string) error {
	if reason == live.ByeUnauthorized {
		return fmt.Errorf("the token does not hold any more: %w", errs.ErrUnauthenticated)
	}
	return fmt.Errorf("disconnected; come back, and go on with what was not done: %w", errs.ErrUnavailable)
}

// disconnectHere ends all sockets and long-running requests of a user on this node, whoever makes them, and those that
// the user or API key makes for others. It returns how many.
func (s *server) disconnectHere(user string) int {
	sockets := s.sockets.Disconnect(user) // first, because onEnd of starting requests checks it
	return sockets + s.responses.end(func(id *rights.Identity) bool { return id.Concerns(user) }, live.ByeDisconnected)
}

// endRevoked ends all sockets and long-running requests on this node whose token was revoked, and returns how many.
func (s *server) endRevoked() int {
	return s.sockets.CloseRevoked() + s.responses.end(s.Verifier.Revocations().Revoked, live.ByeUnauthorized)
}
