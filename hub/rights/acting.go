package rights

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
)

// MaxUser is the length limit of a user's id, in bytes.
const MaxUser = 255

// ActFor returns the identity under which id's credential makes a request as a user: ownership and limits are the
// user's, the capabilities stay those of the credential. A {sub} in them stays the credential's own name, so acting
// gives no right on a topic that the credential lacks. at is when the request was made; a later revocation of the user
// ends it.
//
// It needs ActionAct on the topic user:ID. As itself everybody may make requests, without that right: the result is
// then id. Errors: a *FieldError if user is no user's id; one that matches ErrForbidden.
func (id *Identity) ActFor(user string, at time.Time) (*Identity, error) {
	switch {
	case user == "" || len(user) > MaxUser:
		return nil, errs.Invalid("user", "must be a user's id of 1 to %d bytes; got %d", MaxUser, len(user))
	case !utf8.ValidString(user):
		return nil, errs.Invalid("user", "must be a user's id in UTF-8")
	case strings.IndexFunc(user, unicode.IsControl) >= 0:
		return nil, errs.Invalid("user", "must be a user's id without control characters")
	}
	if user = UserOf(user); user == id.User {
		return id, nil
	}
	if !id.Caps.Allows("user:"+user, ActionAct) {
		return nil, Forbidden("user:"+user, ActionAct)
	}
	return &Identity{
		User: user, Caps: id.Caps, Expires: id.Expires, Issued: at, TokenID: id.TokenID, Actor: id,
	}, nil
}

// UserOf returns the id of the user that a token's subject names. RubberDuck's tokens have the form user?id=UUID.
func UserOf(subject string) string {
	if id, ok := strings.CutPrefix(subject, "user?id="); ok && isUUID(id) {
		return id
	}
	return subject
}

// Key names the server whose limits a request counts against: an API key, for itself or for a user, or a token that
// acts for a user. "" is a user's own request, which counts against the user's limits alone.
//
// A request of an API key for itself counts against the key's limits alone; there Key is User.
func (id *Identity) Key() string {
	switch {
	case id.Service:
		return id.User
	case id.Actor == nil:
		return ""
	case id.Actor.Service:
		return id.Actor.User
	}
	return fmt.Sprintf("user:%s", id.Actor.User) // no API key's name has a colon
}

// Concerns reports whether the identity is that of a user, or acts with the credential of that user or API key.
func (id *Identity) Concerns(user string) bool {
	return id.User == user || id.Actor != nil && id.Actor.User == user
}

// isUUID reports whether s has the form of RFC 9562 §4, in any version.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
