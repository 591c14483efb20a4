package hub

import "encoding/json"

// A PresenceStore keeps who is present on topics for several nodes: what one saves, all that follow the topic hear.
// Safe for concurrent use. Errors match ErrUnavailable.
type PresenceStore interface {
	// SavePresences puts metas of a topic in the place of those with the same ids, all or none, but for those whose
	// Turn is lower than that of the one that is there: these have been taken over by another node meanwhile.
	SavePresences(topic string, metas []SharedPresence) error
	// Presences returns the metas of a topic.
	Presences(topic string) ([]SharedPresence, error)
	// FollowPresences calls heard with what is saved, in order, and gap when something may have been missed, first of
	// all when the following begins. They are called one at a time, and must not block. None is called after stop has
	// returned, but for one that runs at that moment.
	FollowPresences(topic string, heard func([]SharedPresence), gap func()) (stop func())
}

// SharedPresence is one session's meta as the nodes share it.
type SharedPresence struct {
	ID         string          `json:"id"`             // the ref that it began with
	Generation int             `json:"turn,omitempty"` // how many nodes have taken it over
	Node       string          `json:"node"`           // where its session is, or was
	Key        string          `json:"key,omitempty"`
	Client     string          `json:"client,omitempty"`
	Meta       json.RawMessage `json:"meta,omitempty"`
	Ref        string          `json:"ref,omitempty"`
	Since      int64           `json:"since,omitempty"` // Unix time in ms
	Until      int64           `json:"until,omitempty"` // Unix time in ms at which it leaves; 0: it is live
	Gone       bool            `json:"gone,omitempty"`  // it has left
}
