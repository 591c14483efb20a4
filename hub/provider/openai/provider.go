package openai

import (
	"context"
	"errors"
	"net/http"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/internal/stops"
)

// Provider is an OpenAI-compatible upstream. Safe for concurrent use.
type Provider struct {
	opts    Options
	dialect dialect
	client  *http.Client
	learned learned
	models  modelList
}

var _ hub.Provider = (*Provider)(nil)

// New validates opts and returns a Provider. It does not connect to the upstream.
func New(opts Options) (*Provider, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Transport == nil {
		opts.Transport = newTransport(opts.ConnectTimeout)
	}
	p := &Provider{opts: opts, dialect: dialects[opts.Dialect], models: modelList{lock: make(chan struct{}, 1)}}
	p.learned.noStreamOptions = opts.OmitStreamOptions || p.dialect.omitStreamOptions
	p.client = &http.Client{
		Transport: plainBodies{opts.Transport},
		// Following a redirect would send prompts, and to the same host the key, to an address that nobody configured.
		// send returns an error for it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// Close closes idle connections. It does not end running completions: their contexts do.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Complete requests a completion from the upstream, and passes it to w as it arrives.
//
// The request is repeated, at most Options.Tries times in all, if the connection failed, or the answer was 502, 503,
// 504, or 429 with a Retry-After; never after the upstream has accepted it. If the upstream refuses something that the
// client did not ask for, the request is put in another way (see Learned). When ctx ends, it is aborted at once.
//
// Errors: ctx's, w's, or a *hub.ProviderError with the upstream's own code, or one of upstream_unreachable,
// upstream_timeout, upstream_unauthorized (the configured key is invalid), upstream_redirect, upstream_invalid (not an
// answer in OpenAI's form), upstream_truncated (the answer ended early), upstream_error (the upstream failed without a
// code).
func (p *Provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(cancel)
	defer dog.stop()
	dog.within(p.opts.AnswerTimeout, errNoAnswer)

	resp, form, err := p.send(own, req, dog)
	if t, rendered := templates[form.fim]; rendered {
		w = &cutter{CompletionWriter: w, stops: stops.New(t.stop)}
	}
	if err == nil {
		err = p.receive(resp, form.options && !wantsUsage(req), dog, w)
		_ = resp.Body.Close() // the rest is not needed
	}
	if errors.Is(err, errCut) {
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	}
	return p.explain(ctx, own, err)
}

// explain converts an error for the client. If the context has ended, that is the cause of any other error.
func (p *Provider) explain(ctx, own context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch cause := context.Cause(own); {
	case errors.Is(cause, errNoToken):
		return failure(http.StatusGatewayTimeout, "upstream_timeout",
			"the upstream sent nothing for %v, before its first token", p.opts.FirstTokenTimeout)
	case errors.Is(cause, errNoAnswer):
		return failure(http.StatusGatewayTimeout, "upstream_timeout", "the upstream sent no answer within %v",
			p.opts.AnswerTimeout)
	case errors.Is(cause, errSilence):
		return failure(http.StatusGatewayTimeout, "upstream_timeout",
			"the upstream fell silent for %v in the middle of its answer", p.opts.SilenceTimeout)
	}
	var refused *hub.ProviderError
	if errors.As(err, &refused) {
		return refused
	}
	return err
}
