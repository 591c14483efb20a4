package openai

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/duckwire/duckwire/hub"
)

// send posts the request until the upstream accepts it, refuses it for good, or the tries are used up. The returned
// response has a status of success, and is the answer to that form.
func (p *Provider) send(
	ctx context.Context, req *hub.CompletionRequest, dog *watchdog,
) (*http.Response, form, error) {
	f := p.firstForm(req)
	var made []adjustment
	post := func() (*http.Response, error) {
		var asked error // the refusal of what the client asked for
		for {
			if f.stream {
				dog.guard(p.opts.FirstTokenTimeout, errNoToken)
			} else {
				dog.unguard() // a whole answer comes when it is complete
			}
			resp, err := p.post(ctx, req, f)
			var r *refused
			if !errors.As(err, &r) {
				return resp, retryable(err, p.opts.RetryMost)
			}
			next, ok := p.adjust(f, req, r)
			if !ok || slices.ContainsFunc(made, func(a adjustment) bool { return a.of == next.of }) {
				return nil, retryable(cmp.Or(asked, err), p.opts.RetryMost)
			}
			if next.of == thePath {
				asked = err // the other path has nothing to say about it
			}
			f, made = next.form, append(made, next)
		}
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.Multiplier, wait.MaxInterval = p.opts.RetryWait, 2, p.opts.RetryMost
	resp, err := backoff.Retry(ctx, post, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(p.opts.Tries)),
		backoff.WithMaxElapsedTime(0))
	if err == nil {
		p.learned.note(made)
	}
	return resp, f, err
}

// maxLimitWait is the longest time to wait after a 429 here. Clients know what to do with a longer one.
const maxLimitWait = 500 * time.Millisecond

// retryable marks transient errors, with the time to wait; all others become permanent.
func retryable(err error, most time.Duration) error {
	var r *refused
	if !errors.As(err, &r) {
		return permanent(err)
	}
	switch r.status {
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if r.RetryAfter == 0 {
			return err
		}
	case http.StatusTooManyRequests: // without a time it may be an exhausted quota, which a retry does not help
		most = min(most, maxLimitWait)
	default:
		return permanent(err)
	}
	if r.RetryAfter == 0 || r.RetryAfter > most {
		return permanent(err)
	}
	return errors.Join(err, &backoff.RetryAfterError{Duration: r.RetryAfter})
}

func permanent(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// url returns the address of a path: below the base URL, or, with a leading slash, below the upstream's root.
func (p *Provider) url(path string) string {
	if strings.HasPrefix(path, "/") {
		base, _ := url.Parse(p.opts.BaseURL) // New has checked it
		base.Path, base.RawPath = path, ""
		return base.String()
	}
	return p.opts.BaseURL + "/" + path
}

// post sends one request. It returns an error for any status but those of an answer.
func (p *Provider) post(ctx context.Context, req *hub.CompletionRequest, f form) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(f.path), bytes.NewReader(p.payload(req, f)))
	if err != nil {
		return nil, unusableAddress()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream, application/json;q=0.9")
	// This header is not sent: it tells net/http that the request may be repeated on a new connection if a reused one
	// turns out to be closed.
	r.Header["X-Idempotency-Key"] = nil
	p.authorize(r, req.RequestID)
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, unreachable(err)
	}
	if s := resp.StatusCode; s >= 200 && s < 300 && s != http.StatusNoContent && s != http.StatusResetContent {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // an incomplete body is enough
	return nil, &refused{
		ProviderError: p.refusal(resp, body), status: resp.StatusCode, words: strings.ToLower(string(body)),
	}
}

// authorize sets the headers that identify the sender and the request.
func (p *Provider) authorize(r *http.Request, requestID string) {
	r.Header.Set("User-Agent", "duckwire")
	if p.opts.Key != "" {
		r.Header.Set("Authorization", "Bearer "+p.opts.Key)
	}
	if requestID != "" && !strings.ContainsFunc(requestID, func(c rune) bool { return c < ' ' || c > '~' }) {
		r.Header.Set("X-Request-Id", requestID)
	}
	if p.opts.Header != nil {
		p.opts.Header(r.Context(), r.Header)
	}
}

// unreachable is noAnswer for a request that may be sent again if there was no connection.
func unreachable(err error) error {
	e := noAnswer(err)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &refused{ProviderError: e}
	}
	return e
}
