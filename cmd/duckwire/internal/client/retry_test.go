package client

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience checks that a retrier gives up after its patience, and at once if the server was never there.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		absent := &connectError{base: "x", err: &net.OpError{Op: "dial", Err: io.EOF}}
		r := NewRetrier(time.Millisecond, 50*time.Millisecond, nil)
		if err := r.After(t.Context(), absent); err != absent {
			t.Errorf("a server that was never there: %v", err)
		}
		r.Success()
		waits := 0
		for ; waits < 1000 && r.After(t.Context(), absent) == nil; waits++ {
		}
		if waits == 0 || waits == 1000 {
			t.Errorf("%d waits, expected some and an end", waits)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.After(ctx, absent); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
