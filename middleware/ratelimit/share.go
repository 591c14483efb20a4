package ratelimit

import (
	"hash/maphash"
	"time"
)

// What several nodes allow together is what one would: each tells the others from time to time what was taken from its buckets (Spent), and they
// take that from theirs (Count). Nobody waits for that, so a burst that comes to several nodes at one time is counted a moment later, as a debt.

// nearlyFull is the part of a bucket, one in so many, below which nobody is told what was taken: most users never come near a limit.
const nearlyFull = 8

// Share has the limiter note what is taken, for Spent. It must be called before the first Take. A nil Limiter has nothing to share.
func (l *Limiter) Share() {
	if l == nil {
		return
	}
	for i := range l.parts {
		l.parts[i].spent = make(map[string]int)
	}
}

// Spent returns how much was taken from each key's bucket since it was asked last, but for those that are nearly full.
func (l *Limiter) Spent() map[string]int {
	if l == nil {
		return nil
	}
	now, all := time.Since(l.start), make(map[string]int)
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		for key, n := range p.spent {
			if p.full[maphash.String(l.seed, key)]-now > l.times(l.burst)/nearlyFull {
				all[key] = n
			}
		}
		clear(p.spent)
		p.mu.Unlock()
	}
	return all
}

// Count takes from a key's bucket what was taken elsewhere, also where there is not as much: then it owes that, up to a whole bucket.
func (l *Limiter) Count(key string, n int) {
	if l == nil || n <= 0 {
		return
	}
	hash := maphash.String(l.seed, key)
	p := &l.parts[hash%parts]
	now := time.Since(l.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room(now)
	p.full[hash] = min(max(p.full[hash], now)+l.times(n), max(p.full[hash], now+2*l.times(l.burst)))
}
