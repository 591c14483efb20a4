package local

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Model is the name that the built-in completer goes by.
const Model = "duckwire-local"

// Provider is the built-in completer. It is safe for concurrent use.
type Provider struct {
	opts    Options
	created int64
	corpus  *corpus // nil without
}

// New checks opts and begins to index the corpus in the background. Until that is done, answers come from the request's text alone.
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

// Close stops indexing and waits until it has stopped. Completions under way are not its business: their contexts end them.
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

// Complete answers req (see the package's comment). The finish reason is "length" where the token limit cut the answer off, and "stop"
// otherwise. Usage counts this completer's own tokens, and of a long prompt only what it looked at. Errors: ctx's, or the writer's.
func (p *Provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	w.Accepted()
	w.Describe(hub.CompletionInfo{Model: Model})
	t := readTask(req)
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
	out := &writer{ctx: ctx, w: w, delay: p.opts.TokenDelay, left: limit, stops: stops(req.Stop)}
	if err := t.answer(ctx, c, first, out); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	w.Finish(out.reason(), usage(c.Tokens(), out.count), false)
	return ctx.Err()
}

// usage is OpenAI's usage object.
func usage(prompt, completion int) json.RawMessage {
	return fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, completion, prompt+completion)
}

// stops leaves out empty stop strings, which would stop everything.
func stops(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, strings.ToValidUTF8(s, "\uFFFD"))
		}
	}
	return out
}
