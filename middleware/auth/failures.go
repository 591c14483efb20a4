package auth

import (
	"errors"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// Failures counts failed authentications per address. A nil Failures counts nothing.
//
// Beyond the limit, failed attempts are answered with errs.ErrLimited instead. A valid credential is always accepted:
// one address may be an office or a proxy that is not configured as trusted, and a forgotten tab with an expired token
// must not lock out everybody else there. This does not help guessing, since signatures and keys of 256 random bits
// cannot be guessed at any rate.
type Failures struct {
	proxies *middleware.Proxies
	limiter *ratelimit.Limiter
}

// NewFailures returns a Failures that allows perMinute failed attempts; 0 means 10, a negative value no limit.
func NewFailures(p *middleware.Proxies, perMinute int) *Failures {
	perMinute = ratelimit.Limits{FailuresPerMinute: perMinute}.WithDefaults().FailuresPerMinute
	const name = "failed attempts to come in from one address a minute (failures_per_minute)"
	return &Failures{p, ratelimit.New(name, ratelimit.Rate{Limit: perMinute, Per: time.Minute})}
}

// Limiter returns the limiter of failed attempts by address, or nil if there is no limit.
func (f *Failures) Limiter() *ratelimit.Limiter { return f.limiter }

// note counts an error and returns the error to answer with: the same one, or a *errs.LimitError beyond the limit. It
// only counts errors that the client caused.
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
