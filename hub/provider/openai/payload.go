package openai

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// members is a request's JSON object.
type members map[string]json.RawMessage

// payload returns the request body for the upstream: the client's members unchanged, except those for streaming, the
// model, and a rendered suffix. It copies raw members itself, because encoding/json would escape <, > and & in them.
func (p *Provider) payload(req *hub.CompletionRequest, f form) []byte {
	m := members(maps.Clone(req.Body))
	if m == nil {
		m = members{}
	}
	switch {
	case f.stream:
		m["stream"] = json.RawMessage("true")
		if f.options {
			m["stream_options"] = withUsage(m["stream_options"])
		} else {
			delete(m, "stream_options")
		}
	case !req.Whole: // a stream was refused
		m["stream"] = json.RawMessage("false")
		delete(m, "stream_options")
	}
	if model := p.modelOf(req); model != req.Model {
		m["model"] = jsonw.AppendString(nil, model)
	}
	if f.fim != Suffix {
		renderFIM(m, req, templates[f.fim], f.few)
	}
	return m.append(nil)
}

// withUsage returns the client's stream_options with include_usage set.
func withUsage(options json.RawMessage) json.RawMessage {
	var m members
	if json.Unmarshal(options, &m) != nil || m == nil {
		m = members{}
	}
	m["include_usage"] = json.RawMessage("true")
	return m.append(nil)
}

func (m members) append(dst []byte) []byte {
	dst = append(dst, '{')
	for _, name := range slices.Sorted(maps.Keys(m)) {
		dst = jsonw.AppendRaw(jsonw.AppendKey(dst, name), m[name])
	}
	return append(dst, '}')
}
