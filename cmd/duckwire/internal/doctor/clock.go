package doctor

import (
	"net/http"
	"sync"
	"time"
)

// Bounds of what a clock may be off. A token's exp and nbf are held against it.
const (
	offALittle = 5 * time.Second
	offALot    = 60 * time.Second
	jumped     = 250 * time.Millisecond // while the doctor looked
)

// clocks is an http.RoundTripper that compares this machine's clock with that of each server which answers (RFC 9110 §6.6.1).
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
		c.off = append(c.off, clockOff{req.URL.Host, apart(date, asked, time.Now())})
	}
	return resp, nil
}

// apart is how far a clock that said date some time between asked and answered is off, at the least: a Date has no parts of a second.
func apart(date, asked, answered time.Time) time.Duration {
	switch {
	case asked.After(date.Add(time.Second)):
		return asked.Sub(date.Add(time.Second))
	case answered.Before(date):
		return answered.Sub(date)
	}
	return 0
}

// check tells of the worst difference, of a jump since the beginning, and of a clock that nobody sets.
func (c *clocks) check(r *Report) {
	const check = "clock"
	const do = "let a time service set this machine's clock (systemd-timesyncd, chrony)"
	now := time.Now()
	// Between two times with their monotonic parts, and between the same without.
	if jump := now.Round(0).Sub(c.begun.Round(0)) - now.Sub(c.begun); jump.Abs() > jumped {
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
	case worst.by.Abs() > offALot:
		r.Broken(check, do+"; tokens are refused, or taken for too long", found, worst.by.Round(time.Second), worst.host)
	case worst.by.Abs() > offALittle:
		r.Warn(check, do, found, worst.by.Round(time.Second), worst.host)
	default:
		r.Fine(check, "within %s of %d answers from other servers", offALittle, len(c.off))
	}
}
