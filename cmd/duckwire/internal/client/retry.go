package client

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// Retrier paces attempts: waits grow and are spread by chance, and it gives up after some time without success.
type Retrier struct {
	wait     *backoff.ExponentialBackOff
	patience time.Duration // 0: for ever
	since    time.Time     // of the last contact, or the start
	reached  bool          // the server answered once: from now on, its absence is a restart
	note     func(err error, wait time.Duration)
}

// NewRetrier returns a retrier whose first waits are pace in the mean. note is told of each wait, and may be nil.
func NewRetrier(pace, patience time.Duration, note func(error, time.Duration)) *Retrier {
	// Full jitter (protocol/sse.md 10): from nothing to twice the interval, at most 30 s.
	wait := &backoff.ExponentialBackOff{InitialInterval: pace, RandomizationFactor: 1, Multiplier: 2, MaxInterval: 15 * time.Second}
	return &Retrier{wait: wait, patience: patience, since: time.Now(), note: note}
}

// Success starts the waits and the patience anew.
func (r *Retrier) Success() {
	r.wait.Reset()
	r.Contact()
}

// Contact notes that the server is there. It does not shorten the waits: a connection that brings nothing is no success.
func (r *Retrier) Contact() { r.since, r.reached = time.Now(), true }

// firstPatience bounds how long a server is tried that never answered.
const firstPatience = 20 * time.Second

// After waits before the next attempt. It returns err where there should be none: what does not heal, nobody listening where nobody ever
// was, or patience at its end; and context.Canceled when ctx ends.
func (r *Retrier) After(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Canceled
	}
	if !heals(err) || !r.reached && isAbsent(err) {
		return err
	}
	wait := r.wait.NextBackOff()
	if asked := retryAfter(err); asked > 0 {
		r.reached = true
		wait = asked + rand.N(asked/4+1) // not all at the same moment
	}
	if r.over(wait) {
		return err
	}
	if r.note != nil {
		r.note(err, wait)
	}
	return sleep(ctx, wait)
}

// over reports whether a wait would go beyond the patience.
func (r *Retrier) over(wait time.Duration) bool {
	patience := r.patience
	if !r.reached && (patience == 0 || patience > firstPatience) {
		patience = firstPatience
	}
	return patience > 0 && time.Since(r.since)+wait > patience
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Canceled
	case <-t.C:
		return nil
	}
}

// Noter returns a function that tells of waits on w, or nil where nobody sees them.
func Noter(w io.Writer) func(error, time.Duration) {
	if !terminal.IsTerminal(w) {
		return nil
	}
	return func(err error, wait time.Duration) {
		fmt.Fprintf(w, "duckwire: %s; again in %s\n", terminal.FirstLine(err.Error()), wait.Round(10*time.Millisecond))
	}
}
