package local

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Model is the model name of the built-in completer.
const Model = hub.LocalModel

// Provider is the built-in completer. It is safe for concurrent use.
type Provider struct {
	opts    Options
	created int64
	corpus  *corpus // nil if not configured
}

// New validates opts, and starts to index the corpus in the background. Until the index is complete, answers use only
// the request's text.
func New(opts Options) (*Provider, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	p := &Provider{opts: opts, created: time.Now().Unix()}
	if opts.Corpus != "" {
		p.corpus = openCorpus(opts)
	}
	return p, nil
}

// Close stops indexing, and waits for the end. It does not end running completions: their contexts do.
func (p *Provider) Close() error {
	if p.corpus != nil {
		p.corpus.close()
	}
	return nil
}

// Models lists the one model.
func (p *Provider) Models(context.Context) ([]hub.Model, error) {
	return []hub.Model{{ID: Model, Created: p.created, OwnedBy: "duckwire"}}, nil
}

// Complete answers req (see the package comment). The finish reason is "length" if the token limit cut the answer off,
// and "stop" otherwise. The usage counts this completer's own tokens, and only the part of the prompt that it has
// read. Errors: a *hub.ProviderError with status 400 for a request that the completer cannot serve (refuse.go), before
// it is accepted; ctx's, or the writer's.
func (p *Provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	text, err := prompt(req)
	if err == nil {
		err = refuse(req)
	}
	if err != nil {
		return err
	}
	w.Accepted()
	w.Describe(hub.CompletionInfo{Model: Model})
	t := readTask(req, text)
	t.request.Seed = req.Seed
	if p.corpus != nil {
		t.request.Corpus = p.corpus.doc()
	}
	c, first, err := t.open(ctx)
	if err != nil {
		return err
	}
	limit := p.opts.MaxTokens
	if req.MaxTokens > 0 {
		limit = min(limit, req.MaxTokens)
	}
	out := &writer{ctx: ctx, w: w, delay: p.opts.TokenDelay, left: limit, stops: t.stops(req.Stop)}
	if err := t.answer(ctx, c, first, out); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	w.Finish(hub.Finish{Reason: out.reason(), Usage: usage(c.Tokens(), out.count)})
	return ctx.Err()
}

// usage returns OpenAI's usage object.
func usage(prompt, completion int) json.RawMessage {
	return fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, completion,
		prompt+completion)
}
