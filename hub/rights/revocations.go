package rights

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

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

// Revocations is which tokens do not hold any more. API keys cannot be revoked: they are taken out of the settings.
// Safe for concurrent use. End it with Close.
type Revocations struct {
	o     RevocationOptions
	count atomic.Int64 // so that nobody waits where there are none

	writing lock.Mutex // one change at a time, in the store and here in the same order
	forgot  time.Time  // when what is over was last forgotten
	catchUp catchUp

	mu  lock.RWMutex
	all map[subject]Revocation
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
	r := &Revocations{o: o, all: make(map[subject]Revocation)}
	r.writing.SetClass(lock.Revocations)
	r.catchUp.init()
	if o.Store == nil {
		return r, nil
	}
	stored, err := r.load()
	if err == nil {
		r.swap(stored)
	}
	return r, err
}

// Revoked reports whether the identity's token was revoked. A token that does not tell when it was issued counts as
// issued before everything; one that was issued in the very second of the revocation, of which it tells no more, as
// issued before it.
func (r *Revocations) Revoked(id *Identity) bool {
	if r.count.Load() == 0 || id.Service {
		return false
	}
	r.mu.RLock()
	user, ofUser := r.all[subject{user: id.User}]
	token, ofToken := r.all[subject{tokenID: id.TokenID}]
	r.mu.RUnlock()
	if !ofUser && !ofToken {
		return false
	}
	now := r.o.Now()
	return ofToken && now.Before(token.Until) || ofUser && now.Before(user.Until) && !id.Issued.After(user.Issued)
}

// RevokeUser revokes all tokens of a user that were issued up to now. until is when the last of them expires, at most
// the TTL ahead; zero: the TTL ahead. A revocation does not become shorter by another. Errors: ErrInvalid for until;
// ErrLimited; ErrUnavailable where the store does not work: then it holds all the same, and is saved once the store
// works, unless this process ends before.
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
	one.Until = one.Until.UTC()
	if one.User != "" {
		one.Issued = now
	}
	r.forget(now)
	if before, known := r.get(one.subject()); known {
		one = one.With(before)
	} else if r.count.Load() >= int64(r.o.Max) {
		return one, &errs.LimitError{Kind: errs.ErrLimited, Name: "revocations", Limit: int64(r.o.Max)}
	}
	r.put(one)
	if r.o.Store == nil {
		return one, nil
	}
	if err := r.o.Store.SaveRevocation(one); err != nil {
		r.saveLater(one.subject())
		return one, fmt.Errorf("the revocation holds, but is not saved yet, and lost if the server ends before it is; ask again: %w", err)
	}
	delete(r.catchUp.unsaved, one.subject())
	return one, nil
}

// Lift ends the revocation of a user's tokens, or of one token, and returns what it was. Errors: ErrNotFound;
// ErrUnavailable, and then it holds still, unless a Reload finds that the store has forgotten it nevertheless.
func (r *Revocations) Lift(user, tokenID string) (Revocation, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := subject{user, tokenID}
	one, ok := r.get(s)
	if !ok {
		return one, fmt.Errorf("nothing is revoked there: %w", errs.ErrNotFound)
	}
	if r.o.Store != nil { // also where it is unsaved: the answer may have been lost
		if err := r.o.Store.DeleteRevocation(user, tokenID); err != nil {
			return one, err
		}
	}
	r.remove(s)
	return one, nil
}

// Get returns the revocation of a user's tokens, or of one token, if it holds.
func (r *Revocations) Get(user, tokenID string) (Revocation, bool) {
	one, ok := r.get(subject{user, tokenID})
	return one, ok && r.o.Now().Before(one.Until)
}

// List returns up to n revocations that hold, those of users first, each kind in order, and whether there are more.
func (r *Revocations) List(n int) (list []Revocation, more bool) {
	now := r.o.Now()
	r.mu.RLock()
	list = slices.Collect(maps.Values(r.all))
	r.mu.RUnlock()
	list = slices.DeleteFunc(list, func(one Revocation) bool { return !now.Before(one.Until) })
	slices.SortFunc(list, func(a, b Revocation) int {
		if (a.User == "") != (b.User == "") {
			return cmp.Compare(b.User, a.User)
		}
		return cmp.Compare(a.User+a.TokenID, b.User+b.TokenID)
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
	maps.DeleteFunc(r.all, func(s subject, one Revocation) bool {
		over := !now.Before(one.Until)
		if over {
			delete(r.catchUp.unsaved, s)
		}
		return over
	})
	r.count.Store(int64(len(r.all)))
	r.mu.Unlock()
	if r.o.Store != nil {
		_ = r.o.Store.ForgetRevocations(now)
	}
}

func (r *Revocations) get(s subject) (one Revocation, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	one, ok = r.all[s]
	return one, ok
}

// Take applies what another node has revoked: at once, and then as the store has it, because the message may be older
// than a change in the store. unsaved says that the other could not save it: then this node tries as well.
func (r *Revocations) Take(one Revocation, unsaved bool) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if before, known := r.get(one.subject()); known {
		one = one.With(before)
	}
	r.put(one)
	if r.o.Store == nil {
		return
	}
	if unsaved {
		r.catchUp.unsaved[one.subject()] = struct{}{}
	}
	r.catchUp.told = true
	r.tryLater()
}

// TakeLift applies that another node has lifted a revocation, which had this value there. Only the store says whether it
// has been revoked again since, so what this node has changes with the next reload, which is soon while the store works.
func (r *Revocations) TakeLift(lifted Revocation) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := lifted.subject()
	if mine, known := r.get(s); known && mine.equal(lifted) {
		delete(r.catchUp.unsaved, s) // it must not come back by this node
	}
	if r.o.Store != nil {
		r.catchUp.told = true
		r.tryLater()
	}
}

func (r *Revocations) put(one Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[one.subject()] = one
	r.count.Store(int64(len(r.all)))
}

// remove drops one. r.writing is held.
func (r *Revocations) remove(s subject) {
	delete(r.catchUp.unsaved, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, s)
	r.count.Store(int64(len(r.all)))
}

// swap puts all in the place of what was there, at one moment: nobody finds less than one of the two.
func (r *Revocations) swap(all map[subject]Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = all
	r.count.Store(int64(len(all)))
}
