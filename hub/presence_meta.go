package hub

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Members of a meta that the server sets (Phoenix: lib/phoenix/presence.ex).
const (
	metaRef     = "phx_ref"
	metaRefPrev = "phx_ref_prev"
	metaOnline  = "online_at"
)

// MaxPresenceKey is the length limit of presence keys, in bytes.
const MaxPresenceKey = 512

// checkPresence validates the arguments of Track, and returns the meta as checkMeta does.
func (l *Limits) checkPresence(key, client string, meta json.RawMessage) (json.RawMessage, error) {
	if key == "" || len(key) > MaxPresenceKey {
		return nil, errs.Invalid("key", "must be 1 to %d bytes long; got %d", MaxPresenceKey, len(key))
	}
	if len(client) > MaxName {
		return nil, errs.Invalid("client", "must be at most %d bytes long; got %d", MaxName, len(client))
	}
	return l.checkMeta(meta)
}

// checkMeta validates a meta, and returns it compact and without the members that the server sets. So a client may read
// its meta, change a member, and send it back. Phoenix overwrites these members, too.
func (l *Limits) checkMeta(raw json.RawMessage) (json.RawMessage, error) {
	meta, err := compactJSON(raw)
	if err != nil {
		return nil, errs.Invalid("meta", "%v", err)
	}
	if meta[0] != '{' {
		return nil, errs.Invalid("meta", "must be a JSON object")
	}
	if meta, err = withoutRefs(jsonw.ReplaceLoneSurrogates(meta)); err != nil {
		return nil, errs.Invalid("meta", "%v", err)
	}
	if len(meta) > l.PresenceMetaBytes {
		return nil, &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "meta in bytes (presence_meta_bytes)", Limit: int64(l.PresenceMetaBytes),
		}
	}
	return meta, nil
}

// withoutRefs returns a compact JSON object without the members that the server sets. It compares decoded names, since
// names in JSON may have escapes.
func withoutRefs(meta json.RawMessage) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(meta, &members); err != nil {
		return nil, err
	}
	if members[metaRef] == nil && members[metaRefPrev] == nil {
		return meta, nil
	}
	dec := json.NewDecoder(bytes.NewReader(meta))
	_, _ = dec.Token() // the opening brace; the object has been decoded above, so there is no error
	out := []byte{'{'}
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if name != metaRef && name != metaRefPrev {
			out = append(jsonw.AppendKey(out, name.(string)), value...)
		}
	}
	return append(out, '}'), nil
}

// withOnline adds the member online_at to a meta that does not have it.
func withOnline(meta json.RawMessage, at time.Time) json.RawMessage {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(meta, &members); err != nil || members[metaOnline] != nil {
		return meta
	}
	b := append(make([]byte, 0, len(meta)+48), `{"`+metaOnline+`":"`...)
	b = append(at.UTC().AppendFormat(b, TimeFormat), '"')
	return appendMembers(b, meta)
}

// withRefs returns the meta as readers get it. prev is "" unless it replaces another meta.
func withRefs(meta json.RawMessage, ref, prev string) []byte {
	b := append(make([]byte, 0, len(meta)+96), `{"`+metaRef+`":`...)
	b = jsonw.AppendString(b, ref)
	if prev != "" {
		b = append(b, `,"`+metaRefPrev+`":`...)
		b = jsonw.AppendString(b, prev)
	}
	return appendMembers(b, meta)
}

// appendMembers appends the members of a compact object, and its closing brace, to an object that has members already.
func appendMembers(dst, object []byte) []byte {
	if len(object) > len("{}") {
		dst = append(dst, ',')
	}
	return append(dst, object[1:]...)
}

// sameMeta reports whether two metas have equal members, in any order.
func sameMeta(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okX := decodeExact(a)
	y, okY := decodeExact(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

// decodeExact decodes JSON without converting numbers, which would make different ones equal.
func decodeExact(raw []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err := dec.Decode(&v)
	return v, err == nil
}
