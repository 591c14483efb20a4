package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
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
		return nil, unusableAddress()
	}
	r.Header.Set("Accept", "application/json")
	p.authorize(r, "")
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, noAnswer(err)
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
	return p.decodeModels(body)
}

// DecodeModels parses an upstream's list of models. Error: a *hub.ProviderError.
func DecodeModels(list []byte) ([]hub.Model, error) { return new(Provider).decodeModels(list) }

// decodeModels parses a list of models: {"data":[…]} as OpenAI has it, {"models":[…]}, or a bare array. "data":null is
// an empty list. It leaves out entries that are not an object with an id (or a name, as Ollama calls it), so that an
// odd entry costs no other.
func (p *Provider) decodeModels(body []byte) ([]hub.Model, error) {
	body = bytes.ToValidUTF8(body, []byte("\ufffd"))
	list, ok := modelEntries(body)
	if !ok {
		if e := p.reported(0, body); e.Message != "" {
			return nil, e
		}
		return nil, failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream's list of models is not in OpenAI's form")
	}
	models := []hub.Model{} // not nil: an empty list is a list
	for entry := range jsonw.Elements(list) {
		if m := decodeModel(entry); m.ID != "" {
			models = append(models, m)
		}
	}
	return models, nil
}

// modelEntries returns the JSON array of a list of models.
func modelEntries(body []byte) (list []byte, ok bool) {
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return nil, false
	}
	if body[0] == '[' {
		return body, true
	}
	empty := false
	for name, value := range jsonw.Members(body) {
		switch string(name) {
		case "data", "models":
			empty = empty || jsonw.IsNull(value)
			if value[0] == '[' && (list == nil || string(name) == "data") {
				list = value
			}
		}
	}
	return list, list != nil || empty
}

// decodeModel parses an entry; its ID is "" if it cannot be used. Other members of another type than OpenAI's count as
// absent.
func decodeModel(entry []byte) hub.Model {
	m := hub.Model{Raw: bytes.Clone(entry)}
	name, named := "", false
	for key, value := range jsonw.Members(m.Raw) {
		switch text, _ := jsonw.String(value); string(key) {
		case "id":
			m.ID, named = text, true
		case "name":
			name = text
		case "owned_by":
			m.OwnedBy = text
		case "created":
			seconds, _ := strconv.ParseFloat(string(value), 64) // some upstreams write 1.7e9
			if seconds > 0 && seconds < 1e12 {
				m.Created = int64(seconds)
			}
		}
	}
	if !named {
		m.ID = name
	}
	return m
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
