package meter

import (
	"math"
	"sync/atomic"
)

// Histogram counts values in buckets. Safe for concurrent use. Observe does not allocate.
type Histogram struct {
	bounds []float64       // upper bounds, inclusive and ascending
	counts []atomic.Uint64 // one per bound, and one for larger values
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

// Distribution is a snapshot of a histogram.
type Distribution struct {
	Bounds []float64 // shared; do not modify
	Counts []uint64  // values up to each bound and above the one before; the last: above all bounds
	Sum    float64   // of the values
}

// Snapshot returns the counts so far. It may miss concurrent observations.
func (h *Histogram) Snapshot() Distribution {
	d := Distribution{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: math.Float64frombits(h.sum.Load())}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// Count returns the number of values.
func (d Distribution) Count() (n uint64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// Plus returns the sum of both. They must have the same bounds, unless d is the zero Distribution.
func (d Distribution) Plus(other Distribution) Distribution {
	for i := range d.Counts {
		other.Counts[i] += d.Counts[i]
	}
	other.Sum += d.Sum
	return other
}
