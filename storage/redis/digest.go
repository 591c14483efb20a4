package redis

import (
	_ "embed"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

//go:embed content_lib.lua
var contentLib string

// boundMessage is the JSON of a message. content_lib.lua finds the digest because it is the first member.
type boundMessage struct {
	Digest string `json:"digest,omitempty"` // of a message with an id of its sender's
	*hub.StoredMessage
}

func encodeMessage(m *hub.StoredMessage) ([]byte, error) {
	bound := boundMessage{StoredMessage: m}
	if m.Named {
		bound.Digest = m.Digest()
	}
	return json.Marshal(bound)
}
