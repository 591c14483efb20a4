package openai

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// maxModels is how many bytes of a list of models are read at most.
const maxModels = 4 << 20

// modelList caches the upstream's models.
type modelList struct {
	lock   chan struct{} // a mutex that a caller's context can interrupt: it guards the other fields and the request
	models []hub.Model
	at     time.Time
	err    error // error of the last request, if there is no list; retained for errorTTL
}

// errorTTL is how long an error is returned again, so that waiting callers do not each run into a timeout.
const errorTTL = time.Second

// Models lists the upstream's models, the configured model first. The list is cached for Options.ModelsTTL, and
// concurrent callers share one request. If the request fails, Models returns the last list, or else the configured
// model alone.
//
// Errors: ctx's, or a *hub.ProviderError if there is neither.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	l := &p.models
	select {
	case l.lock <- struct{}{}:
		defer func() { <-l.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch age := time.Since(l.at); {
	case l.models != nil && age < p.opts.ModelsTTL:
		return slices.Clone(l.models), nil
	case l.err != nil && age < errorTTL:
		return nil, l.err
	}
	return p.refreshModels(ctx)
}

// refreshModels requests the list. The caller has the lock.
func (p *Provider) refreshModels(ctx context.Context) ([]hub.Model, error) {
	l := &p.models
	models, err := p.fetchModels(ctx)
	switch {
	case err == nil:
		l.models = p.configuredFirst(models)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.models == nil && p.opts.Model != "":
		l.models = p.configuredFirst(nil)
	}
	l.at, l.err = time.Now(), nil
	if l.models == nil {
		l.err = err
	}
	return slices.Clone(l.models), l.err
}

func (p *Provider) fetchModels(ctx context.Context) ([]hub.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.ModelsTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.opts.BaseURL+"/models", nil)
	if err != nil {
		return nil, failure(http.StatusBadGateway, "upstream_unreachable", "the upstream's address is not usable")
	}
	r.Header.Set("Accept", "application/json")
	p.authorize(r, "")
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, failure(http.StatusBadGateway, "upstream_unreachable", "%s", whyUnreachable(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxModels))
	if resp.StatusCode != http.StatusOK {
		return nil, p.refusal(resp, body)
	}
	if err != nil {
		return nil, failure(http.StatusBadGateway, "upstream_truncated",
			"the upstream did not finish its list of models")
	}
	return decodeModels(body)
}

// decodeModels parses {"data":[{"id","created","owned_by"}]}. It ignores entries without an id.
func decodeModels(body []byte) ([]hub.Model, error) {
	var list struct {
		Data []struct {
			ID      string  `json:"id"`
			Created float64 `json:"created"` // some upstreams write 1.7e9
			OwnedBy string  `json:"owned_by"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &list) != nil || list.Data == nil {
		return nil, failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream's list of models is not in OpenAI's form")
	}
	models := make([]hub.Model, 0, len(list.Data)+1)
	for _, m := range list.Data {
		if m.ID != "" {
			models = append(models, hub.Model{ID: m.ID, Created: int64(m.Created), OwnedBy: m.OwnedBy})
		}
	}
	return models, nil
}

// configuredFirst moves the configured model to the front, or adds it.
func (p *Provider) configuredFirst(models []hub.Model) []hub.Model {
	if p.opts.Model == "" {
		return models
	}
	first := hub.Model{ID: p.opts.Model, OwnedBy: "upstream"}
	ordered := make([]hub.Model, 1, len(models)+1)
	for _, m := range models {
		if m.ID == first.ID {
			first = m
			continue
		}
		ordered = append(ordered, m)
	}
	ordered[0] = first
	return ordered
}
