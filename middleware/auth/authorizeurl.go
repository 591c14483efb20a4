package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// Defaults and limits of a URLAuthorizer.
const (
	defaultAuthorizeTimeout = 2 * time.Second
	defaultAuthorizeTTL     = 30 * time.Second
	defaultAuthorizeEntries = 10_000
	maxAuthorizeTTL         = time.Hour
	authorizeFailTTL        = time.Second // how long a failure is cached
	maxAuthorizeConns       = 64          // concurrent requests
)

// URLAuthorizerOptions configure a URLAuthorizer.
type URLAuthorizerOptions struct {
	URL        string            // http or https; asked with POST
	Timeout    time.Duration     // of one request; 0: 2 s
	TTL        time.Duration     // how long an answer without a ttl is cached; 0: 30 s, negative: not at all
	MaxEntries int               // size of the LRU cache; 0: 10,000
	Next       rights.Authorizer // asked first; if it allows, the application is not asked; nil: rights.CapsAuthorizer
	HTTPClient *http.Client      // nil: one with at most 64 connections; redirects are never followed
}

// URLAuthorizer asks an application over HTTP about actions that an identity's own capabilities do not allow.
//
// The request is a POST of {"user","topic","action","token_id","service"}, and "actor" if an API key or a token acts
// for the user; the answer is 200 with {"allowed": true|false} and optionally "ttl" in seconds, at most an hour, 0 for
// no caching. 401 and 403 also deny. Answers are cached by all members of the request, and concurrent requests for the
// same question are combined. Any other result (a timeout, another status, a redirect, other JSON) denies with
// errs.ErrUnavailable for the next second.
//
// It is safe for concurrent use and starts no goroutines.
type URLAuthorizer struct {
	url     string
	client  *http.Client
	timeout time.Duration
	ttl     time.Duration
	next    rights.Authorizer
	answers *answerCache
	flights singleflight.Group
}

// NewURLAuthorizer validates the options. It sends no request.
func NewURLAuthorizer(o URLAuthorizerOptions) (*URLAuthorizer, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		// not quoted: it may contain a password
		return nil, errors.New("authorize URL: must be an absolute http or https URL")
	}
	a := &URLAuthorizer{url: o.URL, timeout: o.Timeout, ttl: o.TTL, next: o.Next, client: noRedirects(o.HTTPClient)}
	if a.timeout <= 0 {
		a.timeout = defaultAuthorizeTimeout
	}
	if a.ttl == 0 {
		a.ttl = defaultAuthorizeTTL
	}
	if a.next == nil {
		a.next = rights.CapsAuthorizer{}
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultAuthorizeEntries
	}
	a.answers = newAnswerCache(o.MaxEntries)
	return a, nil
}

// noRedirects returns a copy of client, or a client with bounded connections if it is nil, that does not follow
// redirects.
func noRedirects(client *http.Client) *http.Client {
	c := http.Client{}
	if client != nil {
		c = *client
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost = maxAuthorizeConns, maxAuthorizeConns
		c.Transport = t
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Authorize implements rights.Authorizer.
func (a *URLAuthorizer) Authorize(ctx context.Context, id *rights.Identity, topic string, action rights.Action) error {
	err := a.next.Authorize(ctx, id, topic, action)
	if err == nil || !errors.Is(err, errs.ErrForbidden) {
		return err
	}
	q := question{User: id.User, Topic: topic, Action: action, TokenID: id.TokenID, Service: id.Service}
	if id.Actor != nil {
		q.Actor = id.Key()
	}
	verdict, ok := a.answers.get(q, time.Now())
	if !ok {
		// The first caller asks for all others, in its own goroutine. If its request ends earlier, it still waits for
		// the answer, for at most the timeout.
		shared, _, _ := a.flights.Do(q.key(), func() (any, error) { return a.ask(ctx, q), nil })
		verdict = shared.(verdictKind)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch verdict {
	case verdictYes:
		return nil
	case verdictNo:
		return err
	}
	return fmt.Errorf("the application that decides about %q on %.255q does not answer: %w",
		string(action), topic, errs.ErrUnavailable)
}

// ask asks the application and caches the answer. It ignores the cancellation of ctx, since other requests wait for the
// same answer.
func (a *URLAuthorizer) ask(ctx context.Context, q question) verdictKind {
	if verdict, ok := a.answers.get(q, time.Now()); ok {
		return verdict // cached since the caller looked
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
	defer cancel()
	verdict, ttl, err := askApplication(ctx, a.client, a.url, q)
	switch {
	case err != nil:
		verdict, ttl = verdictNone, authorizeFailTTL
	case ttl < 0:
		ttl = a.ttl
	}
	a.answers.put(q, verdict, time.Now(), min(ttl, maxAuthorizeTTL))
	return verdict
}
