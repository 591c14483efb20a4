package hub

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// A TopicStore keeps the logs of topics for several nodes: what one appends, all that follow the topic hear. Offsets
// count from 1; an epoch is one life of a topic's offsets, in which none is given twice; its text is BOOT-N, as Vector
// needs it. Whatever may have set offsets back begins a new epoch. Safe for concurrent use. Errors match ErrUnavailable
// where the store cannot be reached; then the events may have been added. Whoever opened the store closes it, after the
// hub.
type TopicStore interface {
	// AppendEvents adds events behind the last one of a topic, in order, all or none, and returns their places. A Named
	// event that the topic has from that sender is not added again: its first place is returned. An Ephemeral one has
	// no place: it takes that of the sender's last one of its name.
	AppendEvents(topic string, events []SharedEvent, room TopicLimits) ([]log.Position, error)
	// Events returns what is kept of a topic behind an offset of an epoch, oldest first, about PageBytes at a time; of
	// another epoch, from the beginning. A topic that there is not has an epoch from now on.
	Events(topic, epoch string, after uint64) (TopicPage, error)
	// FollowTopic calls heard with what is appended, in order, and gap when something may have been missed, first of
	// all when the following begins. They are called one at a time, and must not block. None is called after stop has
	// returned, but for one that runs at that moment.
	FollowTopic(topic string, heard func(EventBatch), gap func()) (stop func())
}

// TopicLimits is how much of a topic is kept.
type TopicLimits struct {
	Events       int
	Bytes        int64 // about
	TTL          time.Duration
	Ephemerals   int
	EphemeralTTL time.Duration
}

// SharedEvent is an event as it is kept for several nodes.
type SharedEvent struct {
	ID        string          `json:"id"`
	Named     bool            `json:"named,omitempty"` // the id is the sender's own, and makes the event one of its kind
	Sender    string          `json:"sender,omitempty"`
	Event     string          `json:"event"`
	Payload   json.RawMessage `json:"payload,omitempty"` // compact
	Bytes     []byte          `json:"bytes,omitempty"`   // of a binary event, in place of Payload
	Except    string          `json:"except,omitempty"`
	Ephemeral bool            `json:"ephemeral,omitempty"`
	Millis    int64           `json:"time"` // Unix time
}

// EventBatch is what one append has added.
type EventBatch struct {
	Epoch  string
	First  uint64 // the offset of the first event that has one; 0 where none has
	Events []SharedEvent
}

// TopicPage is what is kept of a topic, or a part of it.
type TopicPage struct {
	Epoch      string
	Before     []log.Position // the epochs before, the latest first, and up to where each is the same as this one
	Base, Tail uint64         // the offsets Base+1 … Tail are kept
	First      uint64         // the offset of the first of Events
	Events     []SharedEvent
	Ephemerals []SharedEvent // current ones, those that changed first before the others; with the first page only
}

// join adds the next page, or begins with it where the store has begun anew, or has trimmed what was to come.
func (p *TopicPage) merge(next *TopicPage) {
	switch {
	case next.Epoch != p.Epoch:
		*p = *next
	case next.First != p.last()+1 || len(next.Events) == 0:
		current := p.Ephemerals
		*p = *next
		p.Ephemerals = current
	default:
		p.Events = append(p.Events, next.Events...)
	}
}

// last returns the offset of the last of the page's events.
func (p *TopicPage) last() uint64 { return p.First + uint64(len(p.Events)) - 1 }
