package meter

import (
	"math"
	"sync/atomic"
)

// Histogram counts values by size. Safe for concurrent use; it never allocates after New.
type Histogram struct {
	bounds []float64       // upper ones, inclusive, growing
	counts []atomic.Uint64 // of each, and of what is beyond the last
	sum    atomic.Uint64   // the bits of a float64
}

// NewHistogram returns an empty histogram with these upper bounds, each greater than the one before it.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one value.
func (h *Histogram) Observe(v float64) {
	for {
		before := h.sum.Load()
		if h.sum.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+v)) {
			break
		}
	}
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
}

// Distribution is what a histogram has counted.
type Distribution struct {
	Bounds []float64 // shared: not to be changed
	Counts []uint64  // values up to each bound and above the one before; the last: beyond all bounds
	Sum    float64   // of the values
}

// Snapshot returns what was counted. It may miss values that are counted meanwhile.
func (h *Histogram) Snapshot() Distribution {
	d := Distribution{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: math.Float64frombits(h.sum.Load())}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// Count returns how many values there are.
func (d Distribution) Count() (n uint64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// Plus returns what both have counted. They have the same bounds, or d is the zero Distribution.
func (d Distribution) Plus(other Distribution) Distribution {
	for i := range d.Counts {
		other.Counts[i] += d.Counts[i]
	}
	other.Sum += d.Sum
	return other
}
