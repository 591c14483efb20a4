package auth

import (
	"context"
	"net/http"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

type identityKey struct{}

// IdentityFrom returns the identity of an authenticated request, or nil.
func IdentityFrom(ctx context.Context) *rights.Identity {
	id, _ := ctx.Value(identityKey{}).(*rights.Identity)
	return id
}

// WithIdentity returns a shallow copy of r with the identity in its context, and sets the user and who acts for it in
// the access log. It is for handlers that authenticate by themselves, such as sockets, and for tests.
func WithIdentity(r *http.Request, id *rights.Identity) *http.Request {
	middleware.Welcome(r.Context())
	middleware.NoteUser(r.Context(), id.User)
	if id.Actor != nil {
		middleware.NoteActor(r.Context(), id.Key())
	}
	return r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
}
