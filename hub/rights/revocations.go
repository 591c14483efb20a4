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
	expireInterval       = time.Minute
)

// RevocationOptions configure Revocations. The zero value keeps them in memory only.
type RevocationOptions struct {
	Store RevocationStore  // nil: they end with the process
	TTL   time.Duration    // the longest lifetime of a token, and so of a revocation; 0: 30 days
	Max   int              // how many there may be; 0: 100,000
	Now   func() time.Time // the clock that tokens are compared with; nil: time.Now
}

// Revocations is the set of revoked tokens. API keys cannot be revoked: they are removed from the settings instead. It
// is safe for concurrent use. The caller must Close it.
type Revocations struct {
	o     RevocationOptions
	count atomic.Int64 // len(all), so that Revoked needs no lock while nothing is revoked

	writing lock.Mutex // serializes changes, so that the store and this node get them in the same order
	expired time.Time  // when expire last ran; guarded by writing
	catchUp catchUp

	mu  lock.RWMutex
	all map[subject]Revocation
}

// NewRevocations loads the revocations of the store. Its error is the store's.
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
	stored, _, err := r.load()
	if err == nil {
		r.swap(stored)
	}
	return r, err
}

// Revoked reports whether the identity's token was revoked. A token without an issue time counts as issued before any
// revocation. Issue times are whole seconds, so a token that was issued in the second of a revocation counts as issued
// before it.
//
// An identity that acts for a user is revoked if its actor is, and by a revocation of the user after it was made: what
// began before ends, what begins later is allowed. Whether a user may still be acted for is the application's decision.
func (r *Revocations) Revoked(id *Identity) bool {
	switch {
	case r.count.Load() == 0 || id.Service:
		return false
	case id.Actor != nil:
		return r.Revoked(id.Actor) || r.Revoked(&Identity{User: id.User, Issued: id.Issued})
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
// the TTL from now; zero means the TTL from now. A second revocation never shortens the first. Errors: ErrInvalid for
// until; ErrLimited; ErrUnavailable if the store could not save it: the revocation is in force all the same, and is
// saved when the store works again, unless this process ends before that.
func (r *Revocations) RevokeUser(user string, until time.Time) (Revocation, error) {
	return r.revoke(Revocation{User: user, Until: until})
}

// RevokeToken revokes the token with this id (jti). until and the errors are as in RevokeUser.
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
		return one, errs.Invalid("until",
			"must be a time from now until %s (revocation_ttl)", latest.Format(time.RFC3339))
	}
	one.Until = one.Until.UTC()
	if one.User != "" {
		one.Issued = now
	}
	r.expire(now)
	if before, exists := r.get(one.subject()); exists {
		one = one.With(before)
	} else if r.count.Load() >= int64(r.o.Max) {
		return one, &errs.LimitError{Kind: errs.ErrLimited, Name: "revocations", Limit: int64(r.o.Max)}
	}
	r.put(one)
	if r.o.Store == nil {
		return one, nil
	}
	if err := r.o.Store.SaveRevocation(one); err != nil {
		r.markUnsaved(one.subject())
		return one, fmt.Errorf("the revocation holds, but is not saved yet, and lost if the server ends before it is; "+
			"ask again: %w", err)
	}
	delete(r.catchUp.unsaved, one.subject())
	return one, nil
}

// Lift ends the revocation of a user's tokens, or of one token, and returns it. Errors: ErrNotFound; ErrUnavailable:
// the revocation stays in force on this node, until a Reload should find that the store has deleted it after all.
func (r *Revocations) Lift(user, tokenID string) (Revocation, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := subject{user, tokenID}
	one, ok := r.get(s)
	if !ok {
		return one, fmt.Errorf("nothing is revoked there: %w", errs.ErrNotFound)
	}
	if r.o.Store != nil { // even if it is marked as unsaved: the store may have it, and only the answer was lost
		if err := r.o.Store.DeleteRevocation(user, tokenID); err != nil {
			return one, err
		}
	}
	r.remove(s)
	return one, nil
}

// Get returns the revocation of a user's tokens, or of one token, if it is in force.
func (r *Revocations) Get(user, tokenID string) (Revocation, bool) {
	one, ok := r.get(subject{user, tokenID})
	return one, ok && r.o.Now().Before(one.Until)
}

// List returns up to n revocations that are in force, and whether there are more: first those of users, then those of
// tokens, each sorted.
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

// expire drops expired revocations, at most once in expireInterval unless the limit is reached. An error of the store
// does not matter: the next call tries again. The caller holds r.writing.
func (r *Revocations) expire(now time.Time) {
	if now.Sub(r.expired).Abs() < expireInterval && r.count.Load() < int64(r.o.Max) {
		return
	}
	r.expired = now
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

// Take applies a revocation that another node has announced. It is in force at once. Then a reload from the store
// follows, because the store may have a newer change than the message. unsaved says that the other node could not save
// it: this node then tries as well, in case the other one ends first.
func (r *Revocations) Take(one Revocation, unsaved bool) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if before, exists := r.get(one.subject()); exists {
		one = one.With(before)
	}
	r.put(one)
	delete(r.catchUp.lifted, one.subject())
	if r.o.Store == nil {
		return
	}
	if unsaved {
		r.catchUp.unsaved[one.subject()] = struct{}{}
	}
	r.catchUp.remoteChange = true
	r.scheduleRetry()
}

// TakeLift is called when another node has announced that it lifted a revocation; lifted is the value that it had
// there. The subject may have been revoked again since, which only the store can tell. So this node's revocation stays
// in force until the next reload, which follows soon while the store works.
func (r *Revocations) TakeLift(lifted Revocation) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := lifted.subject()
	if mine, exists := r.get(s); exists && mine.equal(lifted) { // the reload must not save it again
		delete(r.catchUp.unsaved, s)
		r.catchUp.lifted[s] = struct{}{}
	}
	if r.o.Store != nil {
		r.catchUp.remoteChange = true
		r.scheduleRetry()
	}
}

func (r *Revocations) put(one Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[one.subject()] = one
	r.count.Store(int64(len(r.all)))
}

// remove drops the revocation of s. The caller holds r.writing.
func (r *Revocations) remove(s subject) {
	delete(r.catchUp.unsaved, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, s)
	r.count.Store(int64(len(r.all)))
}

// swap replaces all revocations in one step, so that no concurrent Revoked finds a part of them.
func (r *Revocations) swap(all map[subject]Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = all
	r.count.Store(int64(len(all)))
}
