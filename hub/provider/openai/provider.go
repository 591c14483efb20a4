package openai

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Provider is an OpenAI-compatible upstream. Safe for concurrent use.
type Provider struct {
	opts   Options
	client *http.Client
	plain  atomic.Bool // the upstream is known to refuse stream_options
	models modelList
}

var _ hub.Provider = (*Provider)(nil)

// New checks opts and returns a Provider. It does not reach out to the upstream.
func New(opts Options) (*Provider, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Transport == nil {
		opts.Transport = newTransport(opts.ConnectTimeout)
	}
	p := &Provider{opts: opts, models: modelList{lock: make(chan struct{}, 1)}}
	p.plain.Store(opts.OmitStreamOptions)
	p.client = &http.Client{
		Transport: opts.Transport,
		// Followed, a redirect would carry prompts, and to the same host the key, to where nobody configured. send refuses it aloud.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// newTransport returns a transport for streams: without compression, which would gather tokens until a block is full.
func newTransport(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: connect,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
	}
}

// Close closes the connections that nobody uses. Completions under way are not its business: their contexts end them.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Complete asks the upstream for a completion and hands it to w as it comes.
//
// The upstream is asked again, at most Options.Tries times in all, where the connection could not be made, or the answer was 502, 503, 504,
// or 429 with a Retry-After; never once it has accepted. When ctx ends, the upstream's request is aborted at once.
//
// Errors: ctx's, w's, or a *hub.ProviderError with the upstream's own code, or one of upstream_unreachable, upstream_timeout,
// upstream_unauthorized (our key does not hold), upstream_redirect, upstream_invalid (not an answer in OpenAI's form), upstream_truncated
// (the answer ended before it was whole), upstream_error (it failed and named no code).
func (p *Provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(cancel)
	defer dog.stop()
	dog.arm(p.opts.FirstTokenTimeout, errNoToken)

	resp, err := p.send(own, req)
	if err == nil {
		err = p.receive(resp, dog, w)
		_ = resp.Body.Close() // nothing more is wanted of it
	}
	return p.explain(ctx, own, err)
}

// explain turns what went wrong into what the client is told. The context comes first: its end is the reason of all that failed after.
func (p *Provider) explain(ctx, own context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch cause := context.Cause(own); {
	case errors.Is(cause, errNoToken):
		return failure(http.StatusGatewayTimeout, "upstream_timeout", "the upstream sent no token within %v", p.opts.FirstTokenTimeout)
	case errors.Is(cause, errSilence):
		return failure(http.StatusGatewayTimeout, "upstream_timeout", "the upstream fell silent for %v in the middle of its answer", p.opts.SilenceTimeout)
	}
	var refused *hub.ProviderError
	if errors.As(err, &refused) {
		return refused
	}
	return err
}
