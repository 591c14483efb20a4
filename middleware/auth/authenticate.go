package auth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

// Authenticate passes on requests with a valid credential, with their rights.Identity in the context (IdentityFrom):
// that of the credential, or that of the user for whom it acts (UserHeader). It rejects requests without a credential.
//
// The credential is taken from Authorization: Bearer, api-key, x-api-key, apikey, the cookie duckwire_token (from
// allowed pages only), ?token=, ?api_key= or ?apikey=, in that order; only the first one is used. Credentials in the
// query are removed from the request's URL, so that no handler can log them. Errors are errs.ErrUnauthenticated, with
// WWW-Authenticate set as RFC 6750 §3 requires; errs.ErrForbidden for a cookie from a page that may not use it, or a
// user that the credential may not act for; errs.ErrInvalid if UserHeader names no user; errs.ErrLimited if too many
// requests from one address failed; or errs.ErrUnavailable while the issuer's keys cannot be fetched.
func Authenticate(v *Verifier, o Options, fail middleware.ErrorWriter) func(http.Handler) http.Handler {
	find := &credentials{allowed: middleware.NewOrigins(o.AllowedOrigins)}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r, query := withoutQueryCredentials(r)
			token, err := find.find(r, query)
			if err == nil && token == "" {
				err = errNoToken
			}
			var id *rights.Identity
			if err == nil {
				id, err = v.Verify(r.Context(), token)
			}
			if err != nil {
				err = o.Failures.note(r, err)
				challenge(w.Header(), err)
				fail(w, r, err)
				return
			}
			acting, err := actFor(r, id, v.now())
			if err != nil { // no failed attempt to come in: the credential is valid
				fail(w, WithIdentity(r, id), err)
				return
			}
			next.ServeHTTP(w, WithIdentity(r, acting))
		})
	}
}

// withoutQueryCredentials returns r, or a shallow copy of it, without the credentials in its query, and these
// credentials.
func withoutQueryCredentials(r *http.Request) (*http.Request, queryCredentials) {
	rest, found := takeQueryCredentials(r.URL.RawQuery)
	if len(found.token) == 0 && len(found.apiKey) == 0 && len(found.supabaseKey) == 0 {
		return r, found
	}
	clean, u := *r, *r.URL
	u.RawQuery = rest
	clean.URL, clean.RequestURI, clean.Form = &u, u.RequestURI(), nil
	return &clean, found
}

// challenge sets WWW-Authenticate for a 401 (RFC 6750 §3). Without any credential it contains no error code (§3.1).
func challenge(h http.Header, err error) {
	var bad *TokenError
	switch {
	case err == error(errNoToken):
		h.Set("WWW-Authenticate", `Bearer realm="duckwire"`)
	case errors.As(err, &bad):
		h.Set("WWW-Authenticate",
			`Bearer realm="duckwire", error="invalid_token", error_description="`+headerText(bad.Reason)+`"`)
	}
}

// headerText reduces s to what RFC 6750 §3 allows in error_description: printable ASCII without quotes and
// backslashes.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return -1
		}
		return r
	}, s)
}
