package rights

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// Revocation says that tokens do not hold any more, though they have not expired: one, by its id, or all of a user's that were issued until then.
type Revocation struct {
	User    string    // "": one token
	TokenID string    // the token's jti; "": all of a user's
	Issued  time.Time // of a user: the tokens issued up to this moment
	Until   time.Time // when the last of them has expired: then this is forgotten
}

// A RevocationStore keeps revocations over restarts. Its methods are called one at a time; LoadRevocations first, and once.
type RevocationStore interface {
	// SaveRevocation keeps one, in the place of the one for the same user or token id. When it returns nil, that survives the end of the process
	// and of the machine. Errors: ErrUnavailable.
	SaveRevocation(r Revocation) error
	// DeleteRevocation forgets the one for a user or a token id. That there is none is no error.
	DeleteRevocation(user, tokenID string) error
	// ForgetRevocations forgets those whose Until is not after now.
	ForgetRevocations(now time.Time) error
	// LoadRevocations calls f with each. It ends with f's first error.
	LoadRevocations(f func(Revocation) error) error
}

// Limits of revocations.
const (
	defaultRevocationTTL = 30 * 24 * time.Hour
	maxRevocations       = 100_000
	forgetEvery          = time.Minute
)

// RevocationOptions say how revocations are kept. The zero value keeps them in memory.
type RevocationOptions struct {
	Store RevocationStore  // nil: they end with the process
	TTL   time.Duration    // the longest life of a token, and so of a revocation (30 days)
	Max   int              // how many there may be (100,000)
	Now   func() time.Time // the clock that tokens are held against; nil: time.Now
}

// Revocations is which tokens do not hold any more. API keys cannot be revoked: they are taken out of the settings. Safe for concurrent use.
type Revocations struct {
	o     RevocationOptions
	count atomic.Int64 // so that nobody waits where there are none

	writing sync.Mutex // one change at a time, in the store and here in the same order
	forgot  time.Time  // when what is over was last forgotten

	mu     sync.RWMutex
	users  map[string]Revocation
	tokens map[string]Revocation
}

// NewRevocations returns what the store has. Its error is the store's.
func NewRevocations(o RevocationOptions) (*Revocations, error) {
	if o.TTL <= 0 {
		o.TTL = defaultRevocationTTL
	}
	if o.Max <= 0 {
		o.Max = maxRevocations
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Revocations{o: o, users: make(map[string]Revocation), tokens: make(map[string]Revocation)}
	if o.Store == nil {
		return r, nil
	}
	err := o.Store.LoadRevocations(func(one Revocation) error {
		if o.Now().Before(one.Until) {
			r.put(one)
		}
		return nil
	})
	return r, err
}

// Revoked reports whether the identity's token was revoked. A token that does not tell when it was issued counts as issued before everything;
// one that was issued in the very second of the revocation, of which it tells no more, as issued before it.
func (r *Revocations) Revoked(id *Identity) bool {
	if r.count.Load() == 0 || id.Service {
		return false
	}
	r.mu.RLock()
	user, ofUser := r.users[id.User]
	token, ofToken := r.tokens[id.TokenID]
	r.mu.RUnlock()
	if !ofUser && !ofToken {
		return false
	}
	now := r.o.Now()
	return ofToken && now.Before(token.Until) || ofUser && now.Before(user.Until) && !id.Issued.After(user.Issued)
}

// RevokeUser revokes all tokens of a user that were issued up to now. until is when the last of them expires, at most the TTL ahead; zero: the TTL
// ahead. A revocation does not become shorter by another. Errors: ErrInvalid for until; ErrLimited; ErrUnavailable where the store does not work:
// then it holds all the same, for as long as this process lives.
func (r *Revocations) RevokeUser(user string, until time.Time) (Revocation, error) {
	return r.revoke(Revocation{User: user, Until: until})
}

// RevokeToken revokes the token with this id (jti). The rest is as with RevokeUser.
func (r *Revocations) RevokeToken(id string, until time.Time) (Revocation, error) {
	return r.revoke(Revocation{TokenID: id, Until: until})
}

func (r *Revocations) revoke(one Revocation) (Revocation, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	now := r.o.Now().UTC()
	latest := now.Add(r.o.TTL)
	switch {
	case one.Until.IsZero():
		one.Until = latest
	case !one.Until.After(now) || one.Until.After(latest):
		return one, errs.Invalid("until", "must be a time from now until %s (revocation_ttl)", latest.Format(time.RFC3339))
	}
	if one.User != "" {
		one.Issued = now
	}
	r.forget(now)
	before, known := r.get(one.User, one.TokenID)
	if known && before.Until.After(one.Until) {
		one.Until = before.Until
	}
	if !known && r.count.Load() >= int64(r.o.Max) {
		return one, &errs.LimitError{Kind: errs.ErrLimited, Name: "revocations", Limit: int64(r.o.Max)}
	}
	r.put(one)
	if r.o.Store == nil {
		return one, nil
	}
	if err := r.o.Store.SaveRevocation(one); err != nil {
		return one, fmt.Errorf("the revocation holds, but not after a restart; ask again: %w", err)
	}
	return one, nil
}

// Lift ends the revocation of a user's tokens, or of one token. Errors: ErrNotFound; ErrUnavailable, and then nothing has changed.
func (r *Revocations) Lift(user, tokenID string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, ok := r.get(user, tokenID); !ok {
		return fmt.Errorf("nothing is revoked there: %w", errs.ErrNotFound)
	}
	if r.o.Store != nil {
		if err := r.o.Store.DeleteRevocation(user, tokenID); err != nil {
			return err
		}
	}
	r.remove(user, tokenID)
	return nil
}

// Get returns the revocation of a user's tokens, or of one token, if it holds.
func (r *Revocations) Get(user, tokenID string) (Revocation, bool) {
	one, ok := r.get(user, tokenID)
	return one, ok && r.o.Now().Before(one.Until)
}

// List returns up to n revocations that hold, those of users first, each kind in order, and whether there are more.
func (r *Revocations) List(n int) (list []Revocation, more bool) {
	now := r.o.Now()
	r.mu.RLock()
	list = slices.AppendSeq(slices.Collect(maps.Values(r.users)), maps.Values(r.tokens))
	r.mu.RUnlock()
	list = slices.DeleteFunc(list, func(one Revocation) bool { return !now.Before(one.Until) })
	slices.SortFunc(list, func(a, b Revocation) int {
		if (a.User == "") != (b.User == "") {
			return strings.Compare(b.User, a.User)
		}
		return strings.Compare(a.User+a.TokenID, b.User+b.TokenID)
	})
	return list[:min(n, len(list))], len(list) > n
}

// forget drops what is over, now and then. A store that does not work now forgets later. r.writing is held.
func (r *Revocations) forget(now time.Time) {
	if now.Sub(r.forgot).Abs() < forgetEvery && r.count.Load() < int64(r.o.Max) {
		return
	}
	r.forgot = now
	r.mu.Lock()
	over := func(_ string, one Revocation) bool { return !now.Before(one.Until) }
	maps.DeleteFunc(r.users, over)
	maps.DeleteFunc(r.tokens, over)
	r.count.Store(int64(len(r.users) + len(r.tokens)))
	r.mu.Unlock()
	if r.o.Store != nil {
		_ = r.o.Store.ForgetRevocations(now)
	}
}

func (r *Revocations) get(user, tokenID string) (one Revocation, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if user != "" {
		one, ok = r.users[user]
	} else {
		one, ok = r.tokens[tokenID]
	}
	return one, ok
}

// Take takes what was revoked on another node, and is kept already.
func (r *Revocations) Take(one Revocation) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.put(one)
}

// Drop takes that a revocation was lifted on another node.
func (r *Revocations) Drop(user, tokenID string) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.remove(user, tokenID)
}

// Reload takes from the store what other nodes have revoked and lifted. Errors: the store's, and then nothing has changed.
func (r *Revocations) Reload() error {
	if r.o.Store == nil {
		return nil
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	var all []Revocation
	if err := r.o.Store.LoadRevocations(func(one Revocation) error { all = append(all, one); return nil }); err != nil {
		return err
	}
	r.mu.Lock()
	clear(r.users)
	clear(r.tokens)
	r.mu.Unlock()
	for _, one := range all {
		if r.o.Now().Before(one.Until) {
			r.put(one)
		}
	}
	return nil
}

func (r *Revocations) put(one Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.User != "" {
		r.users[one.User] = one
	} else {
		r.tokens[one.TokenID] = one
	}
	r.count.Store(int64(len(r.users) + len(r.tokens)))
}

func (r *Revocations) remove(user, tokenID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if user != "" {
		delete(r.users, user)
	} else {
		delete(r.tokens, tokenID)
	}
	r.count.Store(int64(len(r.users) + len(r.tokens)))
}
