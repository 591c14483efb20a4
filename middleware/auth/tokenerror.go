package auth

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/errs"
)

// TokenError says why a credential is invalid. It matches errs.ErrUnauthenticated. Reason may be shown to the client:
// it contains no part of the credential, except claims of a token whose signature is valid.
type TokenError struct{ Reason string }

func (e *TokenError) Error() string { return e.Reason }

// Is reports that a TokenError is an ErrUnauthenticated.
func (e *TokenError) Is(target error) bool { return target == errs.ErrUnauthenticated }

// errNoToken is returned for requests without any credential.
var errNoToken = &TokenError{Reason: "a token is needed"}

// tokenReasons maps errors of the JWT library to reasons; the first match is used. The library's own texts may quote
// the token.
var tokenReasons = []struct {
	err    error
	reason string
}{
	{jwt.ErrTokenMalformed, "token is malformed"},
	{jwt.ErrTokenSignatureInvalid, "token signature is invalid"},
	{jwt.ErrTokenUnverifiable, "token is signed with an algorithm or key that is not accepted here"},
	{jwt.ErrTokenExpired, "token expired"},
	{jwt.ErrTokenNotValidYet, "token is not valid yet (nbf)"},
	{jwt.ErrTokenUsedBeforeIssued, "token was issued in the future (iat)"},
	{jwt.ErrTokenInvalidIssuer, "token is from another issuer (iss)"},
	{jwt.ErrTokenInvalidAudience, "token is for another audience (aud)"},
	{jwt.ErrTokenRequiredClaimMissing, "token lacks a claim that is required here (exp, iss or aud)"},
}

// tokenError converts an error of the JWT library to one that may be shown. It unwraps errors of this package.
func tokenError(err error) error {
	var own *TokenError
	if errors.As(err, &own) {
		return own
	}
	if errors.Is(err, errs.ErrUnavailable) {
		return errKeysUnavailable
	}
	for _, r := range tokenReasons {
		if errors.Is(err, r.err) {
			return &TokenError{Reason: r.reason}
		}
	}
	return &TokenError{Reason: "token is not valid"}
}
