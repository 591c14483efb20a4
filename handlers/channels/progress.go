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
	if u.talk.current != u.stream.ID {
		return
	}
	if err := u.publishProgress(category, text, ""); err != nil {
		u.logger.Warn("how an answer gets on is not told", "conversation", u.talk.id, "error", err)
	}
}

// publishProgress publishes a status_update on the conversation's status topic, under an id where it must not be told twice. Of the engine's the
// conversation itself hears, too: there they are ephemeral, because they are of no use later. talk.mu is held.
func (u *turn) publishProgress(category, text, id string) error {
	meta := encodeJSON(map[string]string{"message_id": u.question.ID, "stream": u.question.Metadata.Stream})
	payload := encodeJSON(statusUpdate{category, text, meta, now()})
	if err := u.publishTo(statusPrefix+u.talk.id, hub.EventInput{ID: id, Event: statusEvent, Payload: payload}); err != nil || category != "engine" {
		return err
	}
	return u.publish(statusEvent, hub.EventInput{Payload: payload, Ephemeral: true})
}
