package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// TokenCookie is the name of the cookie that may contain a token.
const TokenCookie = "duckwire_token"

// Options configure Authenticate and Sockets.
type Options struct {
	// AllowedOrigins are the origins whose pages may use the cookie, in addition to the server's own host. "*" does not
	// allow the cookie for any origin.
	AllowedOrigins []string
	Failures       *Failures // limits failed attempts; nil: no limit
}

// credentials finds the token of a request.
type credentials struct{ allowed *middleware.Origins }

// keyHeaders are the headers in which clients of other APIs send their key: Azure's and Anthropic's SDKs, editors, and
// Supabase's client.
var keyHeaders = []string{"Api-Key", "X-Api-Key", "Apikey"}

// find returns the request's credential: the first of Authorization: Bearer, api-key, x-api-key, apikey, cookie,
// ?token=, ?api_key=, ?apikey=. An invalid credential does not fall back to the next. "" means that there is none.
// Errors: a *TokenError if the credential is ambiguous or empty, one that matches errs.ErrForbidden for a cookie that
// the page may not use.
func (c *credentials) find(r *http.Request, query queryCredentials) (string, error) {
	token, ok, err := bearerToken(r.Header)
	if ok || err != nil {
		return token, err
	}
	for _, name := range keyHeaders {
		if token, ok, err = keyToken(r.Header, name); ok || err != nil {
			return token, err
		}
	}
	refused := error(nil)
	if token, ok, err = cookieToken(r); err != nil {
		return "", err
	} else if ok {
		if refused = c.checkCookie(r); refused == nil {
			return token, nil
		}
		// Browsers add cookies automatically, so the request may still have another credential.
	}
	for _, values := range [][]string{query.token, query.apiKey, query.supabaseKey} {
		switch {
		case len(values) > 1:
			return "", &TokenError{Reason: "the query holds several tokens"}
		case len(values) == 1 && values[0] == "":
			return "", &TokenError{Reason: "the query holds an empty token"}
		case len(values) == 1:
			return values[0], nil
		}
	}
	return "", refused
}

// bearerToken reads the Authorization header (RFC 6750 §2.1). Other schemes, such as Basic for a proxy, are ignored.
func bearerToken(h http.Header) (token string, ok bool, err error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", false, &TokenError{Reason: "there are several Authorization headers"}
	}
	if len(values) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", false, &TokenError{Reason: "the Authorization header holds no token"}
	}
	return token, true, nil
}

// keyToken reads a header that contains only the token. Two different ones are rejected, because the client and a proxy
// may each have added one.
func keyToken(h http.Header, name string) (token string, ok bool, err error) {
	for _, value := range h.Values(name) {
		value = strings.TrimSpace(value)
		if ok && value != token {
			return "", false, &TokenError{Reason: "there are several headers " + strings.ToLower(name)}
		}
		token, ok = value, true
	}
	if ok && token == "" {
		return "", false, &TokenError{Reason: "the header " + strings.ToLower(name) + " is empty"}
	}
	return token, ok, nil
}

// cookieToken reads the cookie. Two different ones are rejected: another host of the same site can add one, and can
// choose which comes first.
func cookieToken(r *http.Request) (token string, ok bool, err error) {
	for _, cookie := range r.CookiesNamed(TokenCookie) {
		if ok && cookie.Value != token {
			return "", false, &TokenError{Reason: "there are several cookies named " + TokenCookie}
		}
		token, ok = cookie.Value, true
	}
	if ok && token == "" {
		return "", false, &TokenError{Reason: "the cookie " + TokenCookie + " is empty"}
	}
	return token, ok, nil
}

// checkCookie returns nil if the request comes from a page that may use the cookie: one of the server's own host or of
// an allowed origin, according to Origin or, if that is missing, Sec-Fetch-Site. Without both (not a browser, or an old
// one) only GET and HEAD are allowed: old browsers, too, send an Origin with cross-site requests whose response a page
// could read.
func (c *credentials) checkCookie(r *http.Request) error {
	origin, site := r.Header.Values("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case len(origin) > 1:
		return fmt.Errorf("the request has several Origin headers: %w", errs.ErrForbidden)
	case len(origin) == 1:
		if middleware.SameHost(origin[0], r) || c.allowed.Named(origin[0]) {
			return nil
		}
		return fmt.Errorf("the cookie may not be used by pages of %.100q: %w", origin[0], errs.ErrForbidden)
	case site == "same-origin" || site == "none":
		return nil
	case site != "":
		return fmt.Errorf("the cookie may not be used by pages of other origins: %w", errs.ErrForbidden)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	}
	return fmt.Errorf("with the cookie, a request that changes something needs an Origin: %w", errs.ErrForbidden)
}

// queryCredentials are the credentials of a query. supabaseKey is the one that Supabase's client must give.
type queryCredentials struct{ token, apiKey, supabaseKey []string }

// takeQueryCredentials separates the credentials in a raw query from the rest, which is unchanged. Like net/url, it
// only treats & as a separator.
func takeQueryCredentials(raw string) (rest string, c queryCredentials) {
	if raw == "" {
		return "", c
	}
	kept := make([]string, 0, 8)
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		into := &c.token
		switch name, _ := url.QueryUnescape(name); name {
		case "token":
		case "api_key":
			into = &c.apiKey
		case "apikey":
			into = &c.supabaseKey
		default:
			kept = append(kept, part)
			continue
		}
		plain, err := url.QueryUnescape(value)
		if err != nil {
			plain = "" // find rejects an empty token
		}
		*into = append(*into, plain)
	}
	return strings.Join(kept, "&"), c
}
