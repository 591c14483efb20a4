package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// round asks members for one request, one after the other.
type round struct {
	pool      *Pool
	requestID string
	members   []*member // that serve the model
	asked     map[*member]bool
	failures  []error
}

// newRound returns the round for a request. Error: a *hub.ProviderError if no member serves the model.
func (p *Pool) newRound(model, requestID string) (*round, error) {
	r := &round{pool: p, requestID: requestID, members: p.serving(model), asked: map[*member]bool{}}
	if len(r.members) > 0 {
		return r, nil
	}
	message := fmt.Sprintf("no upstream serves the model %.200q", model)
	if hub.NamesNoModel(model) {
		message = "the request names no model, and no upstream has one of its own"
	}
	message += "; GET /v1/models lists those that there are"
	return nil, &hub.ProviderError{
		Status: http.StatusNotFound, Code: "model_not_found", Type: "invalid_request_error", Message: message,
	}
}

// call asks one member. It calls answers once the member's answer has begun, after which no other may be asked; final
// says that it has.
type call func(u Upstream, answers func()) (final bool, err error)

// run asks the members until one answers, one refuses because of the request, or all have failed.
func (r *round) run(ctx context.Context, ask call) error {
	for {
		m, a := r.next()
		if m == nil {
			return r.failure()
		}
		if done, err := r.try(ctx, m, a, ask); done {
			return err
		}
	}
}

// next returns the member to ask: the first in order that should be asked in its place, or else the first of the
// others. It returns nil when all were asked.
func (r *round) next() (*member, *attempt) {
	now := time.Now()
	for i, m := range r.members {
		if r.asked[m] {
			continue
		}
		if a, ok := m.health.take(now); ok {
			r.choose(i)
			return m, a
		}
	}
	for i, m := range r.members {
		if !r.asked[m] {
			r.choose(i)
			return m, m.health.force(now)
		}
	}
	return nil, nil
}

// choose logs the choice of a member with its reason.
func (r *round) choose(index int) {
	m, level := r.members[index], slog.LevelInfo
	var reasons []string
	for _, before := range r.members[:index] {
		if why := before.health.describe(before.Name); why != "" {
			reasons = append(reasons, why)
		}
	}
	reason := strings.Join(reasons, "; ")
	switch {
	case index == 0 && len(r.asked) == 0:
		level, reason = slog.LevelDebug, "first that serves the model"
	case index == 0:
		reason = "all others that serve the model have failed"
	case reason == "": // another request has had an answer since
		reason = "those before it have failed"
	}
	r.asked[m] = true
	r.pool.logger.Log(context.Background(), level, "upstream chosen", "upstream", m.Name, "reason", reason,
		"request_id", r.requestID)
}

// try asks one member, and records how it did. done says that no other is to be asked.
func (r *round) try(ctx context.Context, m *member, a *attempt, ask call) (done bool, err error) {
	defer a.release() // also after a panic
	final, err := ask(m.Upstream, func() {
		a.succeeded(time.Now())
		a.release()
	})
	var own *ownError
	switch {
	case err == nil:
		if !final { // an empty answer
			a.succeeded(time.Now())
		}
		return true, nil
	case errors.As(err, &own):
		return true, own.error
	case ctx.Err() != nil:
		return true, err
	case !isFailure(err): // the request is at fault; the member works
		a.succeeded(time.Now())
		return true, err
	}
	reason, wait := describe(err)
	a.fail(time.Now(), reason, wait)
	r.failures = append(r.failures, err)
	return final, err
}

// failure returns the error for the client when all members have failed: the first with words of an upstream, or else
// the first; with the shortest of all times to wait.
func (r *round) failure() error {
	chosen := r.failures[0]
	var wait time.Duration
	hasWords := false
	for _, err := range r.failures {
		var e *hub.ProviderError
		if !errors.As(err, &e) {
			continue
		}
		if e.RetryAfter > 0 && (wait == 0 || e.RetryAfter < wait) {
			wait = e.RetryAfter
		}
		if !hasWords && !isOurs(e) {
			hasWords, chosen = true, err
		}
	}
	var e *hub.ProviderError
	if !errors.As(chosen, &e) || wait == 0 {
		return chosen
	}
	own := *e
	own.RetryAfter, own.Header = wait, nil // the headers are one member's
	return &own
}

// ownError is an error of the client's stream, which is not the member's failure.
type ownError struct{ error }

// relay is what the writers that pass one member's answer on have in common.
type relay struct {
	answers func() // as of call
	begun   bool
	err     error // of the client's stream
}

// begin says that the answer has begun. It reports false for all calls but the first.
func (r *relay) begin() bool {
	if r.begun {
		return false
	}
	r.begun = true
	r.answers()
	return true
}

// keep returns an error of the client's stream, and remembers it.
func (r *relay) keep(err error) error {
	if err != nil {
		r.err = err
	}
	return err
}

// outcome returns the results of a call whose member has returned err.
func (r *relay) outcome(err error) (final bool, _ error) {
	if err != nil && r.err != nil {
		err = &ownError{err}
	}
	return r.begun, err
}

// isFailure reports whether an error is the member's, so that another one may do better: no connection, a timeout, an
// answer that is none, a key that is refused or has no credit left, too many requests.
func isFailure(err error) bool {
	var e *hub.ProviderError
	if !errors.As(err, &e) {
		return true
	}
	switch e.Status {
	case 0, http.StatusPaymentRequired, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500
}

// isOurs reports whether an error was written by this server, not by an upstream.
func isOurs(e *hub.ProviderError) bool {
	return e.Body == nil && strings.HasPrefix(e.Code, "upstream_") && e.Code != "upstream_error"
}

// describe returns the reason of a failure for logs and for who runs the server, and the time to wait. It has no words
// of an upstream, which may quote the prompt.
func describe(err error) (reason string, wait time.Duration) {
	var e *hub.ProviderError
	switch {
	case !errors.As(err, &e):
		return "provider_error", 0
	case isOurs(e):
		return e.Error(), e.RetryAfter
	}
	return fmt.Sprintf("it answered %d %s", e.Status, http.StatusText(e.Status)), e.RetryAfter
}
