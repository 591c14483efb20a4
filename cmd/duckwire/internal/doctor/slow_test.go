package doctor

import (
	"testing"
	"time"
)

func TestHeartbeatsTogether(t *testing.T) {
	t.Parallel()
	at := func(ms ...int) (beats []time.Time) {
		for _, m := range ms {
			beats = append(beats, time.UnixMilli(int64(m)))
		}
		return beats
	}
	for _, beats := range [][]time.Time{at(0, 1000, 2000), at(0, 1900, 2000), at(7)} {
		if arrivedTogether(beats, 50*time.Millisecond) {
			t.Errorf("%v: taken for held back", beats)
		}
	}
	for _, beats := range [][]time.Time{at(2000, 2000, 3000), at(0, 2990, 3000)} {
		if !arrivedTogether(beats, 50*time.Millisecond) {
			t.Errorf("%v: not noticed", beats)
		}
	}
}
