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

// Retrier waits between attempts. Waits are random and grow. It gives up after some time without success.
type Retrier struct {
	wait     *backoff.ExponentialBackOff
	patience time.Duration // 0: for ever
	since    time.Time     // of the last contact, or the start
	reached  bool          // the server answered once: if nothing listens later, it is restarting
	note     func(err error, wait time.Duration)
}

// NewRetrier returns a retrier whose first wait is pace on average. note is called before each wait, and may be nil.
func NewRetrier(pace, patience time.Duration, note func(error, time.Duration)) *Retrier {
	// With full jitter, so that clients do not come back at the same time: each wait is between nothing and twice the
	// interval, at most 30 s.
	wait := &backoff.ExponentialBackOff{
		InitialInterval: pace, RandomizationFactor: 1, Multiplier: 2, MaxInterval: 15 * time.Second,
	}
	return &Retrier{wait: wait, patience: patience, since: time.Now(), note: note}
}

// Success resets the waits and the patience.
func (r *Retrier) Success() {
	r.wait.Reset()
	r.Contact()
}

// Contact resets the patience, because the server answered. It does not shorten the waits: a connection on which no
// data arrives is not a success.
func (r *Retrier) Contact() { r.since, r.reached = time.Now(), true }

// firstPatience is how long attempts to reach a server that has never answered go on.
const firstPatience = 20 * time.Second

// After waits before the next attempt. It returns err if there should be none: if a retry cannot succeed, if nothing
// listens at the address and nothing ever answered, or if the patience is over. It returns context.Canceled when ctx
// ends.
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
		wait = asked + rand.N(asked/4+1) // random, so that clients do not all return at the same time
	}
	if r.over(wait) {
		return err
	}
	if r.note != nil {
		r.note(err, wait)
	}
	return sleep(ctx, wait)
}

// over reports whether a wait would exceed the patience.
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

// Noter returns a function that prints waits to w, or nil if w is not a terminal.
func Noter(w io.Writer) func(error, time.Duration) {
	if !terminal.IsTerminal(w) {
		return nil
	}
	return func(err error, wait time.Duration) {
		fmt.Fprintf(w, "duckwire: %s; again in %s\n", terminal.FirstLine(err.Error()), wait.Round(10*time.Millisecond))
	}
}
