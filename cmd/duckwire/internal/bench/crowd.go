package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// dialers is the number of connections that are opened concurrently.
const dialers = 64

// settleTime is the time after which an event that has not reached every reader counts as lost.
const settleTime = 30 * time.Second

// crowd has all readers of a run, and owns their goroutines until close.
type crowd struct {
	target  *Target
	feeds   []*feed
	readers []*reader
	latency histogram
	running sync.WaitGroup
	failed  context.CancelCauseFunc // cancels the run's context with the first error of a reader
}

// newCrowd creates n readers, spread evenly over the feeds.
func newCrowd(t *Target, feeds []*feed, n int, keepID bool, failed context.CancelCauseFunc) *crowd {
	c := &crowd{target: t, feeds: feeds, failed: failed}
	for i := range n {
		f := feeds[i%len(feeds)]
		r := &reader{feed: f, latency: &c.latency, keepID: keepID}
		f.readers = append(f.readers, r)
		c.readers = append(c.readers, r)
	}
	return c
}

// connect connects all readers and starts their goroutines.
func (c *crowd) connect(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(dialers)
	for i, r := range c.readers {
		group.Go(func() error {
			if err := r.connect(gctx, c.target.node(i)); err != nil {
				return err
			}
			c.running.Go(func() {
				if err := r.run(); err != nil {
					c.failed(err)
				}
			})
			return nil
		})
	}
	return group.Wait()
}

// close closes all connections and waits for the readers.
func (c *crowd) close() {
	for _, r := range c.readers {
		if r.conn != nil {
			_ = r.conn.Close()
		}
	}
	c.running.Wait()
}

// settle waits until every reader has received every published event.
func (c *crowd) settle(ctx context.Context) error {
	for deadline := time.Now().Add(settleTime); ; {
		missing := c.missing()
		if missing == 0 {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d deliveries are missing %v after the last event was published", missing, settleTime)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// missing returns the number of outstanding deliveries.
func (c *crowd) missing() (n uint64) {
	for _, r := range c.readers {
		n += r.feed.published.Load() - r.got.Load()
	}
	return n
}

// delivered returns how many events and bytes all readers have received.
func (c *crowd) delivered() (events, bytes uint64) {
	for _, r := range c.readers {
		events += r.got.Load()
		bytes += r.bytes.Load()
	}
	return events, bytes
}

func (c *crowd) published() (n uint64) {
	for _, f := range c.feeds {
		n += f.published.Load()
	}
	return n
}

// sleep waits for d, or returns ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// pace calls f with 0, 1, 2 … for the duration d, rate times per second. Late calls are made up for.
func pace(ctx context.Context, rate float64, d time.Duration, f func(i int) error) error {
	return paceTimes(ctx, rate, max(1, int(rate*d.Seconds())), f)
}

// paceTimes is pace for n calls.
func paceTimes(ctx context.Context, rate float64, n int, f func(i int) error) error {
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 50*time.Microsecond {
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		} else {
			runtime.Gosched()
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}
