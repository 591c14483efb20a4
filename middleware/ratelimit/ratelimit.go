// Package ratelimit implements token buckets by key. Only buckets that are not full use memory.
package ratelimit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// Rate allows Limit operations per Per on average, and Burst at once. A Limit of 0 or less is no limit.
type Rate struct {
	Limit int
	Per   time.Duration
	Burst int // if less than 1, Limit
}

// Limiter has a bucket for each key. A nil Limiter limits nothing. It is safe for concurrent use.
//
// A bucket is represented by the time when it will be full again (the generic cell rate algorithm). A full bucket is
// the same as an absent one, so it can be removed. Keys are stored as hashes with a random seed: users' names may be
// long, and nobody can choose names that collide.
type Limiter struct {
	name  string
	limit int64
	cost  time.Duration // the time in which a bucket gains one token
	burst int
	seed  maphash.Seed
	start time.Time // times are measured from here, by the monotonic clock
	parts [parts]part
}

const (
	parts    = 16      // number of locks, to reduce contention
	maxPart  = 1 << 16 // buckets per lock; a Limiter has up to a million buckets, about 40 MB
	minSweep = 256     // with fewer buckets, full ones are not removed
)

// part is the set of buckets that one lock guards.
type part struct {
	mu   sync.Mutex
	full map[uint64]time.Duration // hash of the key → when the bucket is full
	next int                      // the number of buckets at which full ones are removed

	spent map[string]int // tokens taken since the last call of Spent; nil: not shared
}

// New returns a Limiter, or nil if there is no limit. Errors contain the name: what is counted, and in brackets the
// setting.
func New(name string, r Rate) *Limiter {
	if r.Limit <= 0 {
		return nil
	}
	if r.Burst < 1 {
		r.Burst = r.Limit
	}
	l := &Limiter{
		name: name, limit: int64(r.Limit), cost: max(r.Per/time.Duration(r.Limit), 1), burst: r.Burst,
		seed: maphash.MakeSeed(), start: time.Now(),
	}
	for i := range l.parts {
		l.parts[i] = part{full: make(map[uint64]time.Duration), next: minSweep}
	}
	return l
}

// Take takes n tokens from a key's bucket, or none and returns a *errs.LimitError that says when there will be n. If n
// exceeds the bucket's size, it can be taken from a full bucket, which then takes longer to be full again.
func (l *Limiter) Take(key string, n int) error {
	if l == nil || n <= 0 {
		return nil
	}
	hash := maphash.String(l.seed, key)
	p := &l.parts[hash%parts]
	now := time.Since(l.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	full := max(p.full[hash], now)
	if wait := full + l.refill(min(n, l.burst)) - now - l.refill(l.burst); wait > 0 {
		return &errs.LimitError{Kind: errs.ErrLimited, Name: l.name, Limit: l.limit, Retry: wait}
	}
	p.makeRoom(now)
	p.full[hash] = full + l.refill(n)
	if p.spent != nil && (len(p.spent) < maxPart || p.spent[key] > 0) {
		p.spent[key] += n
	}
	return nil
}

// giveBack undoes a Take of n tokens.
func (l *Limiter) giveBack(key string, n int) {
	if l == nil || n <= 0 {
		return
	}
	hash := maphash.String(l.seed, key)
	p := &l.parts[hash%parts]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full[hash] -= l.refill(n)
	if p.spent[key] > 0 {
		p.spent[key] -= n
	}
}

// makeRoom makes room for another bucket. The caller holds p.mu.
func (p *part) makeRoom(now time.Duration) {
	if len(p.full) >= p.next {
		p.sweep(now)
	}
}

// refill returns the time in which a bucket gains n tokens. It does not overflow.
func (l *Limiter) refill(n int) time.Duration {
	if time.Duration(n) > math.MaxInt64/4/l.cost {
		return math.MaxInt64 / 4
	}
	return time.Duration(n) * l.cost
}

// sweep removes the full buckets. If too many are left, it removes an eighth of them, arbitrary ones: that many keys at
// once are an attack, and bounded memory matters more than exact limits then. The caller holds p.mu.
func (p *part) sweep(now time.Duration) {
	for hash, full := range p.full {
		if full <= now {
			delete(p.full, hash)
		}
	}
	for hash := range p.full {
		if len(p.full) <= maxPart-maxPart/8 {
			break
		}
		delete(p.full, hash)
	}
	p.next = min(max(minSweep, 2*len(p.full)), maxPart)
}

// Len returns the number of buckets in memory.
func (l *Limiter) Len() int {
	if l == nil {
		return 0
	}
	n := 0
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		n += len(p.full)
		p.mu.Unlock()
	}
	return n
}
