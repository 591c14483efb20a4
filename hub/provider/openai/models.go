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

// maxModels is how many bytes of a list of models are read.
const maxModels = 4 << 20

// modelList is the upstream's models as they were last seen.
type modelList struct {
	lock   chan struct{} // holds one: whoever puts it in may look and ask, the others wait for what it finds
	models []hub.Model
	at     time.Time
	err    error // of the last request, where there was nothing to tell; kept for errorTTL
}

// errorTTL spares those who wait for their turn a time-out each.
const errorTTL = time.Second

// Models lists what the upstream offers, the configured model first. The list is kept for Options.ModelsTTL; callers that come at the same
// time share one request. Where the upstream cannot tell, the last list or else the configured model alone is the answer.
//
// Errors: ctx's, or a *hub.ProviderError where there is nothing to tell.
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

// refreshModels asks for the list. The caller has the turn.
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
		return nil, failure(http.StatusBadGateway, "upstream_truncated", "the upstream did not finish its list of models")
	}
	return decodeModels(body)
}

// decodeModels reads {"data":[{"id","created","owned_by"}]}. Entries without an id are left out.
func decodeModels(body []byte) ([]hub.Model, error) {
	var list struct {
		Data []struct {
			ID      string  `json:"id"`
			Created float64 `json:"created"` // some write 1.7e9
			OwnedBy string  `json:"owned_by"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &list) != nil || list.Data == nil {
		return nil, failure(http.StatusBadGateway, "upstream_invalid", "the upstream's list of models is not in OpenAI's form")
	}
	models := make([]hub.Model, 0, len(list.Data)+1)
	for _, m := range list.Data {
		if m.ID != "" {
			models = append(models, hub.Model{ID: m.ID, Created: int64(m.Created), OwnedBy: m.OwnedBy})
		}
	}
	return models, nil
}

// configuredFirst puts the configured model first, and adds it where the upstream does not list it.
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
