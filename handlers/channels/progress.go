package channels

import (
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

// statusUpdate is the payload of status_update.
type statusUpdate struct {
	Category  string          `json:"category"`
	Text      string          `json:"text"`
	Metadata  json.RawMessage `json:"metadata"`
	Timestamp string          `json:"timestamp"`
}

const (
	statusEvent  = "status_update"
	statusPrefix = "status:"
)

// progress tells how the answer gets on, unless its end has been told.
func (u *turn) progress(category, text string) {
	u.talk.mu.Lock()
	defer u.talk.mu.Unlock()
	if !u.told {
		u.publishProgress(category, text)
	}
}

// publishProgress publishes a status_update on the conversation's status topic. Of the engine's the conversation itself hears, too: there they
// are ephemeral, because they are of no use later. talk.mu is held.
func (u *turn) publishProgress(category, text string) {
	meta := encodeJSON(map[string]string{"message_id": u.question.ID, "stream": u.question.Metadata.Stream})
	payload := encodeJSON(statusUpdate{category, text, meta, now()})
	user := u.question.Metadata.User
	if err := publishTo(u.hub, statusPrefix+u.talk.id, user, hub.EventInput{Event: statusEvent, Payload: payload}); err != nil {
		u.logger.Warn("a status update was refused", "conversation", u.talk.id, "error", err)
	}
	if category == "engine" {
		u.publish(statusEvent, hub.EventInput{Payload: payload, Ephemeral: true})
	}
}
