package doctor

import (
	"net/http"
	"sync"
	"time"
)

// Limits for the error of the clock, against which a token's exp and nbf are checked.
const (
	clockWarning = 5 * time.Second
	clockBroken  = 60 * time.Second
	clockJump    = 250 * time.Millisecond // change of the wall clock against the monotonic one
)

// clocks is an http.RoundTripper that compares this machine's clock with the Date of each response (RFC 9110 §6.6.1).
type clocks struct {
	next  http.RoundTripper
	begun time.Time

	mu  sync.Mutex
	off []clockOff
}

// clockOff is how far this machine's clock is ahead of a host's; negative: behind.
type clockOff struct {
	host string
	by   time.Duration
}

// RoundTrip implements http.RoundTripper.
func (c *clocks) RoundTrip(req *http.Request) (*http.Response, error) {
	asked := time.Now()
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.off = append(c.off, clockOff{req.URL.Host, difference(date, asked, time.Now())})
	}
	return resp, nil
}

// difference returns the minimum difference to a clock that showed date at some time between asked and answered. A Date
// has a resolution of a second.
func difference(date, asked, answered time.Time) time.Duration {
	switch {
	case asked.After(date.Add(time.Second)):
		return asked.Sub(date.Add(time.Second))
	case answered.Before(date):
		return answered.Sub(date)
	}
	return 0
}

// check reports the largest difference, a jump since the start, and a clock that no time service sets.
func (c *clocks) check(r *Report) {
	const check = "clock"
	const do = "let a time service set this machine's clock (systemd-timesyncd, chrony)"
	now := time.Now()
	// The difference of the wall clock readings, less that of the monotonic ones.
	if jump := now.Round(0).Sub(c.begun.Round(0)) - now.Sub(c.begun); jump.Abs() > clockJump {
		r.Warn(check, do+", by slewing it", "it jumped by %s while the doctor looked", jump.Round(time.Millisecond))
	}
	if synchronized, known := clockIsSet(); known && !synchronized {
		r.Warn(check, do, "the kernel says that no time service sets it")
	}
	var worst clockOff
	for _, off := range c.off {
		if off.by.Abs() > worst.by.Abs() {
			worst = off
		}
	}
	found := "%s off the clock of %s"
	switch {
	case len(c.off) == 0:
		r.Skip(check, "there is no other server to compare with")
	case worst.by.Abs() > clockBroken:
		r.Broken(check, do+"; tokens are refused, or taken for too long", found, worst.by.Round(time.Second),
			worst.host)
	case worst.by.Abs() > clockWarning:
		r.Warn(check, do, found, worst.by.Round(time.Second), worst.host)
	default:
		r.Fine(check, "within %s of %d answers from other servers", clockWarning, len(c.off))
	}
}
