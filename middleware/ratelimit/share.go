package ratelimit

import (
	"hash/maphash"
	"time"
)

// Several nodes together enforce the same limit as one: each regularly reports to the others what was taken from its
// buckets (Spent), and they take that from theirs (Count). No request waits for this, so a burst that reaches several
// nodes at once is only counted afterwards, and leaves the bucket in debt.

// nearlyFull is a divisor: while less than this fraction of a bucket is missing, what was taken is not reported. Most
// users never come near a limit, so this saves most messages.
const nearlyFull = 8

// Share makes the limiter record what is taken, for Spent. It must be called before the first Take. On a nil Limiter it
// does nothing.
func (l *Limiter) Share() {
	if l == nil {
		return
	}
	for i := range l.parts {
		l.parts[i].spent = make(map[string]int)
	}
}

// Spent returns how much was taken from each key's bucket since the last call, except for buckets that are nearly full.
func (l *Limiter) Spent() map[string]int {
	if l == nil {
		return nil
	}
	now, all := time.Since(l.start), make(map[string]int)
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		for key, n := range p.spent {
			if p.full[maphash.String(l.seed, key)]-now > l.refill(l.burst)/nearlyFull {
				all[key] = n
			}
		}
		clear(p.spent)
		p.mu.Unlock()
	}
	return all
}

// Count takes from a key's bucket what was taken on other nodes. If the bucket has less, it goes into debt, by at most
// its size.
func (l *Limiter) Count(key string, n int) {
	if l == nil || n <= 0 {
		return
	}
	hash := maphash.String(l.seed, key)
	p := &l.parts[hash%parts]
	now := time.Since(l.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.makeRoom(now)
	p.full[hash] = min(max(p.full[hash], now)+l.refill(n), max(p.full[hash], now+2*l.refill(l.burst)))
}
