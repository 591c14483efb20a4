package socket

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/nearest"
)

// ReservedMember is the member of a push's payload that is the server's. All others, of any name, are the application's.
const ReservedMember = "_duckwire"

// Reserved is what a push tells the server about its payload, in the member "_duckwire".
type Reserved struct {
	// ID makes the push idempotent: the same id of the same user is published, or begins work, once. With another event
	// or payload it is an errs.ErrConflict. "": none.
	ID        string
	Ephemeral bool     // without history: only the newest of each sender and event is kept
	Durable   bool     // is also put into the queues of those users in To who are away
	To        []string // user ids, for Durable
}

// takeReserved removes the member "_duckwire" from the message's payload, and sets m.Reserved. If it has "payload", that
// is the message's payload, which need not be an object then. Errors: *errs.FieldError.
func (m *Message) takeReserved() error {
	if m.Bytes != nil || !mayHaveReserved(m.Payload) {
		return nil
	}
	rest, raw, err := splitReserved(m.Payload)
	if err != nil || raw == nil {
		return err
	}
	members, err := reservedMembers(raw)
	if err != nil {
		return err
	}
	if payload := members["payload"]; payload != nil {
		if len(rest) > len("{}") {
			return errs.Invalid(ReservedMember+".payload",
				"is the whole payload; no other members may stand beside %s", ReservedMember)
		}
		rest = payload
	}
	m.Payload = rest
	return m.Reserved.read(members)
}

// mayHaveReserved reports whether a payload may have the member "_duckwire". It is quick, because nearly none has.
func mayHaveReserved(payload json.RawMessage) bool {
	return bytes.Contains(payload, []byte(ReservedMember)) || bytes.Contains(payload, []byte(`\u`))
}

// splitReserved returns a payload without the member "_duckwire", and its value; nil if there is none.
func splitReserved(payload json.RawMessage) (rest, reserved json.RawMessage, err error) {
	rest = make(json.RawMessage, 0, len(payload))
	rest = append(rest, '{')
	for name, value := range jsonw.Members(payload) {
		switch {
		case string(name) != ReservedMember:
			if len(rest) > 1 {
				rest = append(rest, ',')
			}
			rest = append(jsonw.AppendString(rest, name), ':')
			rest = append(rest, value...)
		case reserved != nil:
			return nil, nil, errs.Invalid(ReservedMember, "is given twice")
		default:
			reserved = value
		}
	}
	return append(rest, '}'), reserved, nil
}

// reservedNames are the members of "_duckwire".
var reservedNames = []string{"durable", "ephemeral", "id", "payload", "to"}

// reservedMembers returns the members of "_duckwire".
func reservedMembers(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if raw[0] != '{' {
		return nil, errs.Invalid(ReservedMember, "must be an object; this member of a payload is the server's")
	}
	members := make(map[string]json.RawMessage)
	for name, value := range jsonw.Members(raw) {
		members[string(name)] = value
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if slices.Contains(reservedNames, name) {
			continue
		}
		name = name[:min(len(name), hub.MaxName)]
		if known := nearest.Name(name, slices.Values(reservedNames)); known != "" {
			return nil, errs.Invalid(ReservedMember+"."+name, "is not known; did you mean %s?", known)
		}
		return nil, errs.Invalid(ReservedMember+"."+name, "is not known; durable, ephemeral, id, payload and to are")
	}
	return members, nil
}

// read sets the fields from the members.
func (o *Reserved) read(members map[string]json.RawMessage) error {
	for _, f := range []struct {
		name, kind string
		to         any
	}{
		{"id", "a string", &o.ID},
		{"ephemeral", "true or false", &o.Ephemeral},
		{"durable", "true or false", &o.Durable},
		{"to", "an array of user ids", &o.To},
	} {
		if raw := members[f.name]; !jsonw.IsNull(raw) && json.Unmarshal(raw, f.to) != nil {
			return errs.Invalid(ReservedMember+"."+f.name, "must be %s", f.kind)
		}
	}
	if !jsonw.IsNull(members["id"]) {
		return hub.ValidName(ReservedMember+".id", o.ID)
	}
	return nil
}
