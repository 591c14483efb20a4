package auth

import (
	"errors"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// Failures counts for each address who tried to come in and could not. A nil one counts nothing.
//
// Beyond the limit such attempts get another answer, "come back later", and nothing else changes: a credential that
// holds always lets in. Behind one address there may be an office, or a proxy that nobody has named: one forgotten
// tab with an expired token must not lock all others out, and nobody guesses a signature or 256 random bits,
// however often they may try.
type Failures struct {
	proxies *middleware.Proxies
	limiter *ratelimit.Limiter
}

// NewFailures returns a Failures that allows perMinute attempts; 0 means 10, less than 0 any number.
func NewFailures(p *middleware.Proxies, perMinute int) *Failures {
	perMinute = ratelimit.Limits{FailuresPerMinute: perMinute}.WithDefaults().FailuresPerMinute
	const name = "failed attempts to come in from one address a minute (failures_per_minute)"
	return &Failures{p, ratelimit.New(name, ratelimit.Rate{Limit: perMinute, Per: time.Minute})}
}

// Limiter counts the attempts, by address. It is nil where there is no limit.
func (f *Failures) Limiter() *ratelimit.Limiter { return f.limiter }

// note counts a refusal, and returns what to answer: the refusal, or a *errs.LimitError in its place. What is no
// fault of the client's is not counted.
func (f *Failures) note(r *http.Request, refusal error) error {
	if f == nil || !errors.Is(refusal, errs.ErrUnauthenticated) && !errors.Is(refusal, errs.ErrForbidden) {
		return refusal
	}
	if client := f.proxies.ClientOf(r); client != "" {
		if err := f.limiter.Take(client, 1); err != nil {
			return err
		}
	}
	return refusal
}
