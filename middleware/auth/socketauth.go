package auth

import (
	"fmt"
	"net/http"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

// Sockets authenticates socket handshakes. Unlike Authenticate it is called by the handler, because a socket's
// credential may be in other places, and because an error is answered differently on each transport.
type Sockets struct {
	verifier *Verifier
	find     *credentials
	failures *Failures
}

// NewSockets returns a Sockets. Pages of o.AllowedOrigins and of the server's own host may open sockets; "*" allows any
// page, but without the cookie.
func NewSockets(v *Verifier, o Options) *Sockets {
	find := &credentials{allowed: middleware.NewOrigins(o.AllowedOrigins)}
	return &Sockets{verifier: v, find: find, failures: o.Failures}
}

// Identify returns the identity that opens the socket: that of token if it is not empty (Phoenix's authToken),
// otherwise that of the credentials that Authenticate reads. CORS does not protect WebSockets, so Origin is checked
// first, against cross-site WebSocket hijacking. UserHeader may name the user for whom the credential acts. Errors:
// errs.ErrUnauthenticated, errs.ErrForbidden, errs.ErrInvalid for a bad UserHeader, errs.ErrLimited if too many
// attempts from one address failed, errs.ErrUnavailable.
func (a *Sockets) Identify(r *http.Request, token string) (*rights.Identity, error) {
	id, err := a.identify(r, token)
	if err != nil {
		return nil, a.failures.note(r, err)
	}
	middleware.Welcome(r.Context())
	return actFor(r, id, a.verifier.now())
}

func (a *Sockets) identify(r *http.Request, token string) (*rights.Identity, error) {
	if err := a.checkOrigin(r); err != nil {
		return nil, err
	}
	if token == "" {
		clean, query := withoutQueryCredentials(r)
		if n := len(query.token); n > 1 { // Phoenix uses the last of several parameters of one name
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

// checkOrigin returns nil for a request without an Origin, or with that of the server's own host or of an allowed page.
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
