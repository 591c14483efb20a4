package hub

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// A TopicStore stores the logs of topics for several nodes: what one node appends is sent to all that follow the topic.
// Offsets count from 1. Within an epoch no offset is used twice; whatever may have set offsets back begins a new epoch.
// An epoch has the form BOOT-N, which log.Vector requires. Safe for concurrent use. Errors match ErrUnavailable if the
// store cannot be reached; then an append may have succeeded. Whoever opened the store closes it, after the hub.
type TopicStore interface {
	// AppendEvents appends events to a topic, in order, all or none, and returns their positions. A Named event that is
	// retained from the same sender is not appended again: its first position is returned. An Ephemeral event has no
	// position: it replaces the sender's last event of its name. Errors: *IDConflictError for a Named event that is
	// retained with another Digest. No two events of a call have one id and different digests.
	AppendEvents(topic string, events []SharedEvent, limits TopicLimits) ([]log.Position, error)
	// CheckIDs returns the *IDConflictError that AppendEvents would return now.
	CheckIDs(topic string, events []SharedEvent) error
	// Events returns the retained events of a topic behind an offset of an epoch, oldest first, in pages of about
	// PageBytes; from the beginning, if that is not the topic's epoch. A topic that does not exist is given an epoch.
	Events(topic, epoch string, after uint64) (TopicPage, error)
	// FollowTopic calls onChange with each append, in order, and onGap if some may have been missed: at first when it
	// has begun to follow. The calls are made one at a time, and must not block. After stop has returned there are no
	// more, except for one that runs at that moment.
	FollowTopic(topic string, onChange func(EventBatch), onGap func()) (stop func())
}

// TopicLimits bounds what is retained of a topic.
type TopicLimits struct {
	Events       int
	Bytes        int64 // an estimate
	TTL          time.Duration
	Ephemerals   int
	EphemeralTTL time.Duration
}

// SharedEvent is an event as the store of several nodes has it.
type SharedEvent struct {
	Digest    string          `json:"digest,omitempty"` // of what a Named event's id is bound to; the first member
	ID        string          `json:"id"`
	Named     bool            `json:"named,omitempty"` // the id is the sender's own, so it is unique for that sender
	Sender    string          `json:"sender,omitempty"`
	Event     string          `json:"event"`
	Payload   json.RawMessage `json:"payload,omitempty"` // compact
	Bytes     []byte          `json:"bytes,omitempty"`   // of a binary event, in place of Payload
	Except    string          `json:"except,omitempty"`
	Ephemeral bool            `json:"ephemeral,omitempty"`
	Millis    int64           `json:"time"` // Unix time
}

// EventBatch is the result of one append.
type EventBatch struct {
	Epoch  string
	First  uint64 // the offset of the first event that is not ephemeral; 0 if all are
	Events []SharedEvent
}

// TopicPage is a page of a topic's retained events.
type TopicPage struct {
	Epoch      string
	Before     []log.Position // earlier epochs, the latest first, and up to which offset each agrees with this one
	Base, Tail uint64         // the offsets Base+1 … Tail are retained
	First      uint64         // the offset of the first of Events
	Events     []SharedEvent
	Ephemerals []SharedEvent // current ones, in the order of their changes; in the page that ends at Tail only
}

// merge appends the next page. If the store has begun another epoch, or has trimmed events between the pages, the
// result begins with the next page.
func (p *TopicPage) merge(next *TopicPage) {
	switch {
	case next.Epoch != p.Epoch, next.First != p.last()+1 || len(next.Events) == 0:
		*p = *next
	default:
		p.Events, p.Ephemerals = append(p.Events, next.Events...), next.Ephemerals
		p.Tail = next.Tail // the log may have grown, and only the page that ends at its tail has the ephemerals
	}
}

// last returns the offset of the page's last event.
func (p *TopicPage) last() uint64 { return p.First + uint64(len(p.Events)) - 1 }
