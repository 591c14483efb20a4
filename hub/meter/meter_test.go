package meter_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub/meter"
)

// TestHistogram checks that bounds are inclusive, and that concurrent observations are all counted.
func TestHistogram(t *testing.T) {
	h := meter.NewHistogram(1, 10)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				for _, v := range []float64{0.5, 1, 1.5, 10, 11, 100} {
					h.Observe(v)
				}
			}
		})
	}
	all.Wait()
	d := h.Snapshot()
	if !slices.Equal(d.Counts, []uint64{8000, 8000, 8000}) || d.Count() != 24000 || d.Sum != 4000*124 {
		t.Errorf("%+v", d)
	}
}

// TestNames checks that the number of names is limited, and that further ones are still counted.
func TestNames(t *testing.T) {
	var n meter.Names
	if len(n.Snapshot()) != 0 {
		t.Error("not empty")
	}
	n.Add("first")
	for i := range 1000 {
		n.Add(fmt.Sprint(i))
	}
	n.Add("first")
	got := n.Snapshot()
	var sum uint64
	for _, c := range got {
		sum += c
	}
	if len(got) != 64 || sum != 1002 || got["first"] != 2 || got["0"] != 1 || got[meter.OtherName] != 1002-2-62 {
		t.Errorf("%d names, %d in all, %d others", len(got), sum, got[meter.OtherName])
	}
}
