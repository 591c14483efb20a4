// Package ratelimit says how often something may be done: a token bucket for each key, and in memory only those that are not full.
package ratelimit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// Rate is how often something may be done: Limit times in Per, on average, and Burst times at once. A Limit of 0 or less is no limit.
type Rate struct {
	Limit int
	Per   time.Duration
	Burst int // less than 1: Limit
}

// Limiter holds a bucket for each key. A nil Limiter refuses nothing. Safe for concurrent use.
//
// A bucket is one time: when it will be full again (the generic cell rate algorithm). One that is full is as good as none, so it can be forgotten
// without anybody noticing. Keys are kept as hashes under a random seed: users' names may be long, and nobody can choose two that collide.
type Limiter struct {
	name  string
	limit int64
	cost  time.Duration // what one time takes from a bucket
	burst int
	seed  maphash.Seed
	start time.Time // times are counted from here, by the steady clock
	parts [parts]part
}

const (
	parts    = 16      // locks, so that few wait for each other
	maxPart  = 1 << 16 // buckets behind one lock; a million in a Limiter, about 40 MB
	minSweep = 256     // buckets below which nobody looks for full ones
)

// part is the buckets behind one lock.
type part struct {
	mu   sync.Mutex
	full map[uint64]time.Duration // hash of the key → when the bucket is full
	next int                      // so many buckets, and the full ones are thrown away

	spent map[string]int // what was taken since Spent was called; nil: nobody asks
}

// New returns a Limiter, nil where there is no limit. The name is what an error calls it: what is counted, and in brackets the setting.
func New(name string, r Rate) *Limiter {
	if r.Limit <= 0 {
		return nil
	}
	if r.Burst < 1 {
		r.Burst = r.Limit
	}
	l := &Limiter{name: name, limit: int64(r.Limit), cost: max(r.Per/time.Duration(r.Limit), 1), burst: r.Burst, seed: maphash.MakeSeed(), start: time.Now()}
	for i := range l.parts {
		l.parts[i] = part{full: make(map[uint64]time.Duration), next: minSweep}
	}
	return l
}

// Take takes n from the bucket of a key, or nothing. The error is a *errs.LimitError that tells when there will be n. What is more than a whole
// bucket may be taken from a full one; it is longer until that is full again.
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
	if wait := full + l.times(min(n, l.burst)) - now - l.times(l.burst); wait > 0 {
		return &errs.LimitError{Kind: errs.ErrLimited, Name: l.name, Limit: l.limit, Retry: wait}
	}
	p.room(now)
	p.full[hash] = full + l.times(n)
	if p.spent != nil && (len(p.spent) < maxPart || p.spent[key] > 0) {
		p.spent[key] += n
	}
	return nil
}

// room sees to it that another bucket may be kept. p.mu is held.
func (p *part) room(now time.Duration) {
	if len(p.full) >= p.next {
		p.sweep(now)
	}
}

// times is what n times take, without an overflow.
func (l *Limiter) times(n int) time.Duration {
	if time.Duration(n) > math.MaxInt64/4/l.cost {
		return math.MaxInt64 / 4
	}
	return time.Duration(n) * l.cost
}

// sweep throws away the full buckets, and where too many are left an eighth of them, whichever: so many keys at one time are an attack, and memory
// is what must not run out. p.mu is held.
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

// Len returns how many buckets are kept.
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
