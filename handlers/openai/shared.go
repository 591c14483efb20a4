package openai

import (
	"bytes"
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// shared has the members, as JSON, that are the same in all chunks of an answer. Clients put chunks together by their
// id, so a chunk that an upstream sends with another id would be lost.
type shared struct{ id, created, model []byte }

func sharedOf(meta *hub.CompletionMeta, info *hub.CompletionInfo) shared {
	model := info.Model
	if model == "" {
		model = meta.Model
	}
	return shared{
		id: jsonw.AppendString(nil, info.ID), created: strconv.AppendInt(nil, info.Created, 10),
		model: jsonw.AppendString(nil, model),
	}
}

// of returns the shared value of a member, or nil if the member is not shared.
func (s *shared) of(name []byte) []byte {
	switch string(name) {
	case "id":
		return s.id
	case "created":
		return s.created
	case "model":
		return s.model
	}
	return nil
}

// append appends a chunk with the shared members in place of its own. Without usage, a member "usage" that is null is
// left out: the upstream sends it because the usage was asked for on behalf of a client that did not.
func (s *shared) append(dst, chunk []byte, usage bool) []byte {
	same, unasked := 0, false
	for name, value := range jsonw.Members(chunk) {
		if want := s.of(name); want != nil && bytes.Equal(want, value) {
			same++
		}
		unasked = unasked || !usage && isNoUsage(name, value)
	}
	if same == 3 && !unasked { // the usual case
		return append(dst, chunk...)
	}
	dst = append(dst, '{')
	dst = append(jsonw.AppendKey(dst, "id"), s.id...)
	dst = append(jsonw.AppendKey(dst, "created"), s.created...)
	dst = append(jsonw.AppendKey(dst, "model"), s.model...)
	for name, value := range jsonw.Members(chunk) {
		if s.of(name) == nil && (usage || !isNoUsage(name, value)) {
			dst = append(jsonw.AppendKey(dst, name), value...)
		}
	}
	return append(dst, '}')
}

func isNoUsage(name, value []byte) bool { return string(name) == "usage" && jsonw.IsNull(value) }
