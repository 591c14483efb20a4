package auth

import (
	"fmt"
	"net/http"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

// Sockets finds out who opens a socket. Unlike Authenticate it is asked by the handler, because a socket's
// credential may travel where no other request has one, and because a refusal looks different on each transport.
type Sockets struct {
	verifier *Verifier
	find     *credentials
	failures *Failures
}

// NewSockets returns a SocketAuth. Pages of o.AllowedOrigins may open sockets, beside those of the server's own
// host; "*" lets any page, but without the cookie.
func NewSockets(v *Verifier, o Options) *Sockets {
	find := &credentials{allowed: middleware.NewOrigins(o.AllowedOrigins)}
	return &Sockets{verifier: v, find: find, failures: o.Failures}
}

// Identify returns who opens the socket: by token where it is given (Phoenix's authToken), else by what
// Authenticate looks at. A browser adds its Origin and no CORS rule protects a WebSocket, so that is checked first
// (cross-site WebSocket hijacking). Errors: errs.ErrUnauthenticated, errs.ErrForbidden, errs.ErrLimited for too many
// of these from one address, errs.ErrUnavailable.
func (a *Sockets) Identify(r *http.Request, token string) (*rights.Identity, error) {
	id, err := a.identify(r, token)
	if err != nil {
		return nil, a.failures.note(r, err)
	}
	middleware.Welcome(r.Context())
	return id, nil
}

func (a *Sockets) identify(r *http.Request, token string) (*rights.Identity, error) {
	if err := a.checkOrigin(r); err != nil {
		return nil, err
	}
	if token == "" {
		clean, query := withoutQueryCredentials(r)
		if n := len(query.token); n > 1 { // of equal parameters Phoenix takes the last
			query.token = query.token[n-1:]
		}
		var err error
		if token, err = a.find.find(clean, query); err != nil {
			return nil, err
		}
	}
	if token == "" {
		return nil, errNoToken
	}
	return a.verifier.Verify(r.Context(), token)
}

// checkOrigin returns nil for a request of no page, of a page of our own host, or of an allowed one.
func (a *Sockets) checkOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	allowed := a.find.allowed
	if len(origins) == 1 && (allowed.Any || allowed.Named(origins[0]) || middleware.SameHost(origins[0], r)) {
		return nil
	}
	return fmt.Errorf("pages of %.100q may not open a socket (allowed_origins): %w", origins[0], errs.ErrForbidden)
}
