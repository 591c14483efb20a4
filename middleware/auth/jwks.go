package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duckwire/duckwire/hub/errs"
)

// When the key set is fetched.
const (
	jwksInterval   = 10 * time.Minute // after a successful fetch, ±10 %
	jwksFirstRetry = time.Second      // after a failed fetch, doubling
	jwksLastRetry  = time.Minute      // up to this
	jwksTimeout    = 10 * time.Second // of one fetch
	jwksAskEvery   = 30 * time.Second // for unknown keys: at most one fetch in this time on average
	jwksAskBurst   = 2                // and this many at once
)

var errKeysUnavailable = fmt.Errorf("the keys that tokens are signed with cannot be fetched now: %w",
	errs.ErrUnavailable)

// errAskedEnough is returned for an unknown key if fetches for unknown keys are over their limit.
var errAskedEnough = errors.New("the key set was just fetched")

// jwks caches the keys of a JWKS URL (RFC 7517 §5). One goroutine, run, does every fetch: periodically, and when a
// token names an unknown key. Concurrent requests for unknown keys share one fetch, and these fetches are rate-limited,
// as anyone can invent key ids. A fetch gets all new keys, so a flood of invented ids delays a real key rotation by at
// most jwksAskEvery.
//
// Only jwkset's parser is used, and not keyfunc or jwkset's HTTP storage: their rate limiter's wait also bounds the
// fetch behind it, one cannot wait for their refresh goroutine to end, one unusable key fails the whole set, and a
// token without a key id skips the checks of use and alg.
type jwks struct {
	url    string
	client *http.Client
	logger *slog.Logger
	ctx    context.Context // ends run

	set   atomic.Pointer[[]publicKey] // nil: never fetched
	fresh atomic.Bool                 // the last fetch succeeded

	asks chan *jwksFetch // requests to run; at most one at a time

	mu      sync.Mutex
	limiter *rate.Limiter
	current *jwksFetch // requested and not finished yet; nil: none
}

// jwksFetch is one fetch that several callers may wait for. err is set before done is closed.
type jwksFetch struct {
	done chan struct{}
	err  error
}

func newJWKS(ctx context.Context, rawURL string, client *http.Client, logger *slog.Logger) (*jwks, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		// not quoted: it may contain a password
		return nil, errors.New("JWKS URL: must be an absolute http or https URL")
	}
	if client == nil {
		client = &http.Client{CheckRedirect: secureRedirect}
	}
	first := &jwksFetch{done: make(chan struct{})}
	j := &jwks{
		url: rawURL, client: client, logger: logger.With(slog.String("jwks_url", u.Redacted())), ctx: ctx,
		asks:    make(chan *jwksFetch, 1),
		limiter: rate.NewLimiter(rate.Every(jwksAskEvery), jwksAskBurst),
		current: first, // callers wait for the first fetch
	}
	j.asks <- first
	return j, nil
}

// secureRedirect allows three redirects, and none from https to http.
func secureRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > 3:
		return errors.New("too many redirects")
	case via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https":
		return errors.New("a redirect from https to http")
	}
	return nil
}

// run fetches until j.ctx ends.
func (j *jwks) run() {
	timer := time.NewTimer(jwksInterval)
	defer timer.Stop()
	retry := jwksFirstRetry
	for {
		var asked *jwksFetch
		select {
		case <-j.ctx.Done():
			return
		case asked = <-j.asks:
		case <-timer.C:
		}
		err := j.fetch()
		if asked != nil {
			j.finish(asked, err)
		}
		if err == nil {
			retry = jwksFirstRetry
			timer.Reset(time.Duration(float64(jwksInterval) * (0.9 + 0.2*rand.Float64())))
			continue
		}
		timer.Reset(retry)
		retry = min(2*retry, jwksLastRetry)
	}
}

func (j *jwks) finish(f *jwksFetch, err error) {
	j.mu.Lock()
	j.current = nil
	j.mu.Unlock()
	f.err = err
	close(f.done)
}

// fetch fetches the set once. On an error the old set remains.
func (j *jwks) fetch() error {
	ctx, cancel := context.WithTimeout(j.ctx, jwksTimeout)
	defer cancel()
	keys, skipped, err := fetchKeySet(ctx, j.client, j.url)
	j.fresh.Store(err == nil)
	if err != nil {
		if j.ctx.Err() == nil {
			j.logger.LogAttrs(ctx, slog.LevelWarn, "the key set cannot be fetched",
				slog.Any("error", err), slog.Bool("have_older", j.set.Load() != nil))
		}
		return err
	}
	for _, reason := range skipped {
		j.logger.LogAttrs(ctx, slog.LevelWarn, "a key of the key set is not used", slog.String("reason", reason))
	}
	if len(keys) == 0 {
		j.logger.LogAttrs(ctx, slog.LevelWarn, "the key set has no key for signatures: no token of it is accepted")
	}
	j.set.Store(&keys)
	return nil
}

// ask requests a fetch and waits for it. It returns errAskedEnough, ctx's error, or that of the fetch.
func (j *jwks) ask(ctx context.Context) error {
	j.mu.Lock()
	f := j.current
	if f == nil {
		if !j.limiter.Allow() {
			j.mu.Unlock()
			return errAskedEnough
		}
		f = &jwksFetch{done: make(chan struct{})}
		j.current = f
		j.asks <- f // never blocks: current was nil, so the channel is empty
	}
	j.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// find returns the keys for a token's alg and kid. A token without a kid may be signed with any key of its algorithm.
// An unknown kid triggers a fetch, within the rate limit.
func (j *jwks) find(ctx context.Context, alg, kid string) ([]publicKey, error) {
	if keys := j.match(alg, kid); len(keys) > 0 || (kid == "" && j.set.Load() != nil) {
		return keys, nil
	}
	err := j.ask(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case j.set.Load() == nil, err != nil && !j.fresh.Load():
		// The key may be valid, but the issuer cannot be asked.
		return nil, errKeysUnavailable
	}
	return j.match(alg, kid), nil
}

// match looks up keys in the current set.
func (j *jwks) match(alg, kid string) []publicKey {
	set := j.set.Load()
	if set == nil {
		return nil
	}
	var found []publicKey
	for _, k := range *set {
		if k.alg == alg && (kid == "" || k.kid == kid) {
			found = append(found, k)
		}
	}
	return found
}

// ready returns nil if the set was ever fetched.
func (j *jwks) ready() error {
	if j.set.Load() == nil {
		return errKeysUnavailable
	}
	return nil
}
