package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets whose width is at most 1/16 of their value. It is safe for concurrent use and
// uses no lock.
type histogram struct {
	buckets [64 * 16]atomic.Uint64
	max     atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	h.buckets[bucketOf(us)].Add(1)
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// bucketOf returns the bucket of a value: values below 16 have their own, and each further power of two has 16 buckets.
func bucketOf(v uint64) int {
	if v < 16 {
		return int(v)
	}
	shift := bits.Len64(v) - 5
	return (shift+1)<<4 | int(v>>shift&15)
}

// valueOf returns the lower bound of a bucket.
func valueOf(bucket int) uint64 {
	if bucket < 16 {
		return uint64(bucket)
	}
	return uint64(16|bucket&15) << (bucket>>4 - 1)
}

// Latency is a distribution in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`

	Bars []Bar `json:"histogram,omitempty"` // one for each power of two, in ascending order
}

// Bar counts the deliveries that took at least From milliseconds and less than twice that. If From is 0, it counts
// those below 16 µs.
type Bar struct {
	From  float64 `json:"from_ms"`
	Count uint64  `json:"count"`
}

func (h *histogram) latency() Latency {
	return Latency{P50: h.quantile(0.50), P99: h.quantile(0.99), Max: millis(h.max.Load()), Bars: h.bars()}
}

// bars adds up the buckets of each power of two.
func (h *histogram) bars() (bars []Bar) {
	for i := range h.buckets {
		n := h.buckets[i].Load()
		if n == 0 {
			continue
		}
		from := 0.0
		if i >= 16 {
			from = float64(valueOf(i&^15)) / 1e3
		}
		if last := len(bars) - 1; last >= 0 && bars[last].From == from {
			bars[last].Count += n
		} else {
			bars = append(bars, Bar{from, n})
		}
	}
	return bars
}

func (h *histogram) quantile(q float64) float64 {
	var total uint64
	for i := range h.buckets {
		total += h.buckets[i].Load()
	}
	rank := uint64(math.Ceil(q * float64(total)))
	for i := range h.buckets {
		n := h.buckets[i].Load()
		if n >= rank {
			return float64(valueOf(i)) / 1e3
		}
		rank -= n
	}
	return 0
}

func (h *histogram) reset() {
	for i := range h.buckets {
		h.buckets[i].Store(0)
	}
	h.max.Store(0)
}

func millis(ns int64) float64 { return float64(ns) / 1e6 }
