package pool

import (
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// The pause of a member that has failed: firstPause, doubled with each further failure up to maxPause. A Retry-After
// makes it longer, up to maxWait.
const (
	firstPause = time.Second
	maxPause   = time.Minute
	maxWait    = 5 * time.Minute
)

// health is a circuit breaker that refuses nothing: it tells whether a member should be asked in its place, or after
// the others. It is our own, because those of libraries refuse, and pause for one fixed time.
type health struct {
	mu       sync.Mutex
	failures int       // since the last success
	reason   string    // of the last failure
	since    time.Time // of the first of the failures, or of the first success after some; zero: neither happened
	failed   time.Time // of the last failure that was counted
	until    time.Time // end of the pause
	probing  bool      // a request tries the member after its pause
}

// attempt is one request to a member. It must be ended by release, whatever else is called.
type attempt struct {
	health *health
	began  time.Time
	probe  bool
}

// take begins an attempt if the member should be asked in its place: it is healthy, or its pause is over and no other
// request tries it.
func (h *health) take(now time.Time) (*attempt, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	probe := h.failures > 0
	if probe && (h.probing || now.Before(h.until)) {
		return nil, false
	}
	h.probing = h.probing || probe
	return &attempt{h, now, probe}, true
}

// force begins an attempt in any case.
func (h *health) force(now time.Time) *attempt { return &attempt{health: h, began: now} }

// succeeded records that the member has answered.
func (a *attempt) succeeded(now time.Time) {
	h := a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 || h.since.IsZero() {
		h.since = now
	}
	h.failures, h.reason = 0, ""
}

// fail records a failure. Of requests that ran at the same time, only the first failure counts.
func (a *attempt) fail(now time.Time, reason string, wait time.Duration) {
	h := a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 && a.began.Before(h.failed) {
		return
	}
	if h.failures == 0 {
		h.since = now
	}
	h.failures++
	pause := min(firstPause<<min(h.failures-1, 6), maxPause) // 1 s doubled 6 times is more than a minute
	h.reason, h.failed, h.until = reason, now, now.Add(max(pause, min(wait, maxWait)))
}

// release ends the attempt.
func (a *attempt) release() {
	if a.probe {
		a.health.mu.Lock()
		a.health.probing, a.probe = false, false
		a.health.mu.Unlock()
	}
}

// describe says how often the member has failed lately, and why; "" if it has not.
func (h *health) describe(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.failures {
	case 0:
		return ""
	case 1:
		return name + " has failed: " + h.reason
	}
	return fmt.Sprintf("%s has failed %d times: %s", name, h.failures, h.reason)
}

func (h *health) status() hub.UpstreamStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return hub.UpstreamStatus{Healthy: h.failures == 0, Failures: h.failures, Reason: h.reason, Since: h.since}
}
