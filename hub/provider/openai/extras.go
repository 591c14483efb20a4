package openai

import "github.com/duckwire/duckwire/hub/jsonw"

// isKnown reports whether Duckwire's own chunks have a member, or no client needs it.
func isKnown(name []byte) bool {
	switch string(name) {
	case "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "choices", "obfuscation":
		return true
	}
	return false
}

// remember stores the unknown members of a chunk.
func (a *answer) remember(raw []byte, c *chunk) {
	if !c.extra {
		return
	}
	for name, value := range jsonw.Members(raw) {
		if isKnown(name) || a.extras[string(name)] == string(value) {
			continue
		}
		if a.extras == nil {
			a.extras = make(map[string]string)
		}
		a.extras[string(name)] = string(value)
	}
}

// unseenMembers returns a chunk without its usage, or nil if earlier chunks had all of its other members.
func (a *answer) unseenMembers(raw []byte) []byte {
	found := false
	rest := []byte{'{'}
	for name, value := range jsonw.Members(raw) {
		if !isKnown(name) && !jsonw.IsNull(value) && a.extras[string(name)] != string(value) {
			found = true
		}
		if string(name) != "usage" {
			rest = append(jsonw.AppendKey(rest, name), value...)
		}
	}
	if !found {
		return nil
	}
	return append(rest, '}')
}
