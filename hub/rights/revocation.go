package rights

import "time"

// Revocation makes tokens invalid before they expire: either the one with TokenID, or all tokens of User that were
// issued up to Issued.
type Revocation struct {
	User    string    // "": the revocation is of one token
	TokenID string    // the token's jti; "": the revocation is of a user's tokens
	Issued  time.Time // only with User: tokens issued up to this moment are revoked
	Until   time.Time // all revoked tokens have expired by then, so the revocation expires as well
}

// A RevocationStore keeps revocations across restarts. Its methods are called one at a time, LoadRevocations first.
type RevocationStore interface {
	// SaveRevocation stores a revocation durably before it returns nil: it survives the end of the process and of the
	// machine. If the store has one of the same subject, which another node may have made, it keeps the later Issued
	// and the later Until of both. Errors: ErrUnavailable; the revocation may have been stored all the same.
	SaveRevocation(r Revocation) error
	// DeleteRevocation deletes the revocation of a user or a token id, if there is one. Errors: as SaveRevocation.
	DeleteRevocation(user, tokenID string) error
	// ForgetRevocations deletes the revocations whose Until is not after now.
	ForgetRevocations(now time.Time) error
	// LoadRevocations calls f with each revocation, and returns f's first error.
	LoadRevocations(f func(Revocation) error) error
}

// A SharedRevocationStore is shared by several nodes, and may lose its data while they run.
type SharedRevocationStore interface {
	RevocationStore
	// RevocationsGeneration returns the id of the store's data. A store without one makes a new id. So a different id
	// than before means that the store has lost its data in the meantime. Errors: ErrUnavailable.
	RevocationsGeneration() (string, error)
}

// subject identifies what is revoked: a user's tokens, or one token.
type subject struct{ user, tokenID string }

func (r *Revocation) subject() subject { return subject{r.User, r.TokenID} }

// With merges two revocations of one subject into one that covers both. So a revocation is never weakened by another
// that was made on another node at the same time, or that arrives late.
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
