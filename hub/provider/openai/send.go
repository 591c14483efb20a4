package openai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/duckwire/duckwire/hub"
)

// send posts the request until the upstream accepts it, refuses it for good, or the tries are used up. The returned
// response has status 200.
func (p *Provider) send(ctx context.Context, req *hub.CompletionRequest) (*http.Response, error) {
	options := !p.plain.Load()
	post := func() (*http.Response, error) {
		resp, err := p.post(ctx, req, p.payload(req, options))
		if options && refusesStreamOptions(err) {
			options = false
			if resp, err = p.post(ctx, req, p.payload(req, false)); err == nil && req.Body["stream_options"] == nil {
				p.plain.Store(true) // the refused options were ours, not the client's: omit them from now on
			}
		}
		return resp, retryable(err, p.opts.RetryMost)
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.Multiplier, wait.MaxInterval = p.opts.RetryWait, 2, p.opts.RetryMost
	return backoff.Retry(ctx, post, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(p.opts.Tries)),
		backoff.WithMaxElapsedTime(0))
}

// refused is a refusal, with what decides about a retry.
type refused struct {
	*hub.ProviderError
	status  int // the upstream's status; 0: no connection
	options bool
}

func (e *refused) Unwrap() error { return e.ProviderError }

func refusesStreamOptions(err error) bool {
	var r *refused
	return errors.As(err, &r) && r.options
}

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

// post sends one request. It returns an error for any status but 200.
func (p *Provider) post(ctx context.Context, req *hub.CompletionRequest, payload []byte) (*http.Response, error) {
	path := "/chat/completions"
	if req.Kind == hub.TextCompletion {
		path = "/completions"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.opts.BaseURL+path, bytes.NewReader(payload))
	if err != nil {
		return nil, failure(http.StatusBadGateway, "upstream_unreachable", "the upstream's address is not usable")
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
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // an incomplete body is enough
	e := p.refusal(resp, body)
	return nil, &refused{ProviderError: e, status: resp.StatusCode, options: resp.StatusCode == http.StatusBadRequest &&
		bytes.Contains(body, []byte("stream_options"))}
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

// unreachable returns the error for a request without an answer. Its text contains no address.
func unreachable(err error) error {
	e := failure(http.StatusBadGateway, "upstream_unreachable", "%s", whyUnreachable(err))
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &refused{ProviderError: e}
	}
	return e
}
