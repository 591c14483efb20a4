package openai

import "github.com/duckwire/duckwire/hub/jsonw"

// known reports whether a chunk's member is one that our own chunks have, or that is of no use to anybody.
func known(name []byte) bool {
	switch string(name) {
	case "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "choices", "obfuscation":
		return true
	}
	return false
}

// remember keeps the members of a chunk that we do not know.
func (a *answer) remember(raw []byte, c *chunk) {
	if !c.extra {
		return
	}
	for name, value := range jsonw.Members(raw) {
		if known(name) || a.extras[string(name)] == string(value) {
			continue
		}
		if a.extras == nil {
			a.extras = make(map[string]string)
		}
		a.extras[string(name)] = string(value)
	}
}

// unseenMembers returns a chunk without its usage, or nil where no chunk before lacked anything of the rest.
func (a *answer) unseenMembers(raw []byte) []byte {
	found := false
	rest := []byte{'{'}
	for name, value := range jsonw.Members(raw) {
		if !known(name) && !jsonw.IsNull(value) && a.extras[string(name)] != string(value) {
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
