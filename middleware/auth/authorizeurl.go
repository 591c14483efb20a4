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
	authorizeFailTTL        = time.Second // how long a failure is kept as an answer
	maxAuthorizeConns       = 64          // questions under way at one time
)

// URLAuthorizerOptions configure a URLAuthorizer.
type URLAuthorizerOptions struct {
	URL        string            // http or https; asked with POST
	Timeout    time.Duration     // of one question; 0: 2 s
	TTL        time.Duration     // how long an answer that names no ttl is kept; 0: 30 s, negative: not at all
	MaxEntries int               // answers kept, the least recently used go first; 0: 10,000
	Next       rights.Authorizer // asked first, its yes is final; nil: rights.CapsAuthorizer
	HTTPClient *http.Client      // nil: one with at most 64 connections; redirects are not followed either way
}

// URLAuthorizer asks an application what an identity's own capabilities do not allow.
//
// The question is a POST of {"user","topic","action","token_id","service"}; the answer 200 with {"allowed":
// true|false} and optionally "ttl", in seconds, 0 for do not keep, at most an hour. 401 and 403 are a no as well.
// Answers are kept per user, token id, service, topic and action, and the same question is asked once at a time.
// Anything else (no answer in time, another status, a redirect, no such JSON) is errs.ErrUnavailable for the second
// to come: it fails closed.
//
// It is safe for concurrent use, and starts no goroutine.
type URLAuthorizer struct {
	url     string
	client  *http.Client
	timeout time.Duration
	ttl     time.Duration
	next    rights.Authorizer
	answers *answerCache
	flights singleflight.Group
}

// NewURLAuthorizer checks the options. Nothing is asked yet.
func NewURLAuthorizer(o URLAuthorizerOptions) (*URLAuthorizer, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("authorize URL: must be an absolute http or https URL") // it may hold a password
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

// noRedirects returns a copy of client, or of a bounded one, that takes a redirect for the answer.
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
	verdict, ok := a.answers.get(q, time.Now())
	if !ok {
		// Not a goroutine of its own: whoever asks first asks for all, and takes at most the timeout longer than
		// its own request.
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

// ask has the question answered and keeps the answer. The one request that asks may go away: others wait for the
// answer too.
func (a *URLAuthorizer) ask(ctx context.Context, q question) verdictKind {
	if verdict, ok := a.answers.get(q, time.Now()); ok {
		return verdict // came between our look and our turn
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
