package hub

import "encoding/json"

// A PresenceStore stores the presences on topics for several nodes: what one node saves is sent to all that follow the
// topic. Safe for concurrent use. Errors match ErrUnavailable.
type PresenceStore interface {
	// SavePresences stores metas of a topic, all or none, in place of those with the same ids. A meta is skipped if the
	// stored one has a higher Generation: another node has taken it over.
	SavePresences(topic string, metas []SharedPresence) error
	// Presences returns the metas of a topic.
	Presences(topic string) ([]SharedPresence, error)
	// FollowPresences calls onChange with what is saved, in order, and onGap if some may have been missed: at first
	// when it has begun to follow. The calls are made one at a time, and must not block. After stop has returned there
	// are no more, except for one that runs at that moment.
	FollowPresences(topic string, onChange func([]SharedPresence), onGap func()) (stop func())
}

// SharedPresence is one session's meta in the store of several nodes. A meta whose Gone is true has ended.
type SharedPresence struct {
	ID         string          `json:"id"`             // the first phx_ref that it had
	Generation int             `json:"turn,omitempty"` // how many nodes have taken it over; JSON's name is older
	Node       string          `json:"node"`           // the node that owns it: where its session is, or was
	Key        string          `json:"key,omitempty"`
	Client     string          `json:"client,omitempty"`
	Meta       json.RawMessage `json:"meta,omitempty"`
	Ref        string          `json:"ref,omitempty"`
	Since      int64           `json:"since,omitempty"` // Unix time in ms
	Until      int64           `json:"until,omitempty"` // Unix time in ms at which its grace period ends; 0: it is live
	Gone       bool            `json:"gone,omitempty"`  // it has ended
}
