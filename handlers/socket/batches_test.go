package socket

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrainInBatches drains 250 sockets: in batches with pauses, and without pauses once the time is over.
func TestDrainInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		at := make(map[time.Duration]int)
		inBatches(t.Context(), 250, func(int) { at[time.Since(begun)]++ })
		if at[0] != 100 || at[50*time.Millisecond] != 100 || at[100*time.Millisecond] != 50 ||
			time.Since(begun) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begun), at)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun, n := time.Now(), 0
		inBatches(ctx, 250, func(i int) { n += i })
		if time.Since(begun) != 0 || n != 250*249/2 {
			t.Errorf("without time: %v, %d", time.Since(begun), n)
		}
	})
}
