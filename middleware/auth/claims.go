package auth

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/rights"
)

// maxClaim is the maximum length of a user's or a token's id, in bytes.
const maxClaim = rights.MaxUser

// maxTime is the end of the year 9999. Later times cannot be formatted, and result from an exp in milliseconds.
const maxTime = 253402300799

// identityOf reads the claims of a token whose signature is valid.
func (v *Verifier) identityOf(claims jwt.MapClaims) (*rights.Identity, error) {
	id := &rights.Identity{}
	var err error
	if id.Expires, err = v.expiry(claims); err != nil {
		return nil, err
	}
	if iat, _ := claims.GetIssuedAt(); iat != nil { // the parser rejects one that is not a number
		id.Issued = iat.Time
	}
	if id.User, err = subject(claims); err != nil {
		return nil, err
	}
	if id.TokenID, err = stringClaim(claims, "jti"); err != nil {
		return nil, err
	}
	raw, err := capsClaim(claims["caps"])
	if err != nil {
		return nil, err
	}
	if id.Caps, err = rights.ParseCaps(raw, id.User); err != nil {
		// Not wrapped: err matches errs.ErrInvalid, but the request itself is valid.
		return nil, &TokenError{Reason: "token has bad capabilities: " + err.Error()}
	}
	return id, nil
}

// expiry returns exp. It is checked without leeway (the library's leeway is for nbf and iat): a connection is closed at
// exp, and a reconnect must then fail, otherwise the client would reconnect in a loop.
func (v *Verifier) expiry(claims jwt.MapClaims) (time.Time, error) {
	exp, err := claims.GetExpirationTime()
	switch {
	case err != nil || exp == nil:
		return time.Time{}, &TokenError{Reason: "token has no exp"}
	case exp.Unix() < 0 || exp.Unix() > maxTime:
		return time.Time{}, &TokenError{Reason: "token has an exp that is no time in seconds since 1970"}
	case !v.now().Before(exp.Time):
		return time.Time{}, &TokenError{Reason: "token expired"}
	}
	return exp.Time, nil
}

// subject returns the user.
func subject(claims jwt.MapClaims) (string, error) {
	sub, err := stringClaim(claims, "sub")
	if err != nil {
		return "", err
	}
	if sub == "" {
		return "", &TokenError{Reason: "token has no sub"}
	}
	return rights.UserOf(sub), nil
}

// stringClaim returns an optional claim that must be a short string without control characters.
func stringClaim(claims jwt.MapClaims, name string) (string, error) {
	value, ok := claims[name]
	if !ok {
		return "", nil
	}
	s, ok := value.(string)
	switch {
	case !ok:
		return "", &TokenError{Reason: "token has a " + name + " that is no string"}
	case len(s) > maxClaim:
		return "", &TokenError{Reason: fmt.Sprintf("token has a %s of more than %d bytes", name, maxClaim)}
	case hasControl(s):
		return "", &TokenError{Reason: "token has a " + name + " with control characters"}
	}
	return s, nil
}

// capsClaim converts the claim's JSON to the argument of ParseCaps. A missing claim gives no capabilities.
func capsClaim(value any) (map[string][]string, error) {
	if value == nil {
		return nil, nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, &TokenError{Reason: "token has caps that are no JSON object"}
	}
	caps := make(map[string][]string, len(members))
	for pattern, value := range members {
		list, ok := value.([]any)
		if !ok {
			return nil, &TokenError{Reason: "token has caps that are no lists of actions"}
		}
		caps[pattern] = make([]string, len(list))
		for i, action := range list {
			if caps[pattern][i], ok = action.(string); !ok {
				return nil, &TokenError{Reason: "token has caps that are no lists of actions"}
			}
		}
	}
	return caps, nil
}

func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }
