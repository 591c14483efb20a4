package rights

import "time"

// Revocation says that tokens do not hold any more, though they have not expired: one, by its id, or all of a user's
// that were issued until then.
type Revocation struct {
	User    string    // "": one token
	TokenID string    // the token's jti; "": all of a user's
	Issued  time.Time // of a user: the tokens issued up to this moment
	Until   time.Time // when the last of them has expired: then this is forgotten
}

// A RevocationStore keeps revocations over restarts. Its methods are called one at a time; LoadRevocations first.
type RevocationStore interface {
	// SaveRevocation keeps one. Where there is one for the same user or token id, the later Issued and the later Until
	// count: another node may have made it. When it returns nil, that survives the end of the process and of the
	// machine. Errors: ErrUnavailable, and then it may have been kept all the same.
	SaveRevocation(r Revocation) error
	// DeleteRevocation forgets the one for a user or a token id. That there is none is no error. Errors: as
	// SaveRevocation.
	DeleteRevocation(user, tokenID string) error
	// ForgetRevocations forgets those whose Until is not after now.
	ForgetRevocations(now time.Time) error
	// LoadRevocations calls f with each. It ends with f's first error.
	LoadRevocations(f func(Revocation) error) error
}

// A SharedRevocationStore is one of several nodes, which may lose all that it has while they go on.
type SharedRevocationStore interface {
	RevocationStore
	// RevocationsGeneration returns an id that the store makes where it has none. One that differs from an earlier one
	// says that the store has lost everything in the meantime. Errors: ErrUnavailable.
	RevocationsGeneration() (string, error)
}

// subject is what is revoked: a user's tokens, or one token.
type subject struct{ user, tokenID string }

func (r *Revocation) subject() subject { return subject{r.User, r.TokenID} }

// With returns the revocation that holds wherever one of the two does, for the same subject: none is weakened by
// another that was made at the same time elsewhere, or is told late.
func (r Revocation) With(other Revocation) Revocation {
	if other.Issued.After(r.Issued) {
		r.Issued = other.Issued
	}
	if other.Until.After(r.Until) {
		r.Until = other.Until
	}
	return r
}

func (r Revocation) equal(other Revocation) bool {
	return r.subject() == other.subject() && r.Issued.Equal(other.Issued) && r.Until.Equal(other.Until)
}
