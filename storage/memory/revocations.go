package memory

import (
	"maps"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// Revocations is a rights.RevocationStore in memory. The zero value is empty and ready for use. It is safe for
// concurrent use.
type Revocations struct {
	mu  sync.Mutex
	all map[subject]rights.Revocation
}

// subject identifies what is revoked: a user's tokens, or one token.
type subject struct{ user, tokenID string }

// SaveRevocation implements rights.RevocationStore.
func (s *Revocations) SaveRevocation(r rights.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[subject]rights.Revocation)
	}
	key := subject{r.User, r.TokenID}
	s.all[key] = r.With(s.all[key])
	return nil
}

// DeleteRevocation implements rights.RevocationStore.
func (s *Revocations) DeleteRevocation(user, tokenID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, subject{user, tokenID})
	return nil
}

// ForgetRevocations implements rights.RevocationStore.
func (s *Revocations) ForgetRevocations(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(_ subject, r rights.Revocation) bool { return !now.Before(r.Until) })
	return nil
}

// LoadRevocations implements rights.RevocationStore.
func (s *Revocations) LoadRevocations(f func(rights.Revocation) error) error {
	s.mu.Lock()
	all := maps.Clone(s.all)
	s.mu.Unlock()
	for _, r := range all {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}
