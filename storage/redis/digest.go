package redis

import (
	_ "embed"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

//go:embed content_lib.lua
var contentLib string

// boundEvent is the JSON of an event. The scripts find the digest because it is the first member.
type boundEvent struct {
	Digest string `json:"digest,omitempty"` // of events with an id of their sender's
	*hub.SharedEvent
}

// boundMessage is the JSON of a message, as boundEvent is of an event.
type boundMessage struct {
	Digest string `json:"digest,omitempty"`
	*hub.StoredMessage
}

func encodeEvent(e *hub.SharedEvent) ([]byte, error) {
	bound := boundEvent{SharedEvent: e}
	if e.Named {
		bound.Digest = e.Digest()
	}
	return json.Marshal(bound)
}

func encodeMessage(m *hub.StoredMessage) ([]byte, error) {
	bound := boundMessage{StoredMessage: m}
	if m.Named {
		bound.Digest = m.Digest()
	}
	return json.Marshal(bound)
}
