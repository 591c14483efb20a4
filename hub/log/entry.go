package log

import "time"

// EventKind says what an Event is to its readers.
type EventKind uint8

// The kinds.
const (
	TopicEvent  EventKind = iota // Data is the schema Envelope of openapi.yaml
	StreamEvent                  // a stream's structured entry: Data is a JSON value
	ChunkEvent                   // an upstream's chunk that is more than text: Data is OpenAI's chunk object, Text its text
	OpenEvent                    // a chat completion began; nothing to say but OpenAI's opening chunk
	EndEvent                     // the stream's end: Data is the schema End of openapi.yaml
	QueueEvent                   // a user's message: Data is the schema Message of openapi.yaml; Time is when it expires
)

// Event is one entry of a log that is not plain text. It is immutable once appended.
type Event struct {
	Encoding
	Kind   EventKind
	Name   string
	Data   []byte
	Text   string // ChunkEvent: counts as text of the stream
	Bytes  []byte // TopicEvent: the payload of a binary event; nil where it is JSON
	Except string // TopicEvent: the client whose own it is, and who is not to get it; "": none
	Time   time.Time
	Offset uint64 // 0 for an ephemeral event

	PayloadAt, PayloadEnd int // TopicEvent: where the payload stands in Data

	Sender, ID string // TopicEvent: the sender and its own id for the event; "": it came without one
}

// Payload returns the JSON value that a topic's event carries, a part of Data. It must not be changed.
func (ev *Event) Payload() []byte { return ev.Data[ev.PayloadAt:ev.PayloadEnd:ev.PayloadEnd] }

// Size returns about how many bytes the event takes, its envelope counted once.
func (ev *Event) Size() int64 {
	return int64(len(ev.Data)+len(ev.Name)+len(ev.Bytes)) + EntryBytes + 224
}

// Item is what a reader gets: one event, or text that may span many entries.
type Item struct {
	To    uint64 // the offset of the last entry in it; 0 for an ephemeral event
	At    int    // where Text begins, in bytes from the stream's beginning
	Text  []byte // shared, never to be changed; nil for an event without text
	Event *Event // nil for text
	*Encoding
}

// size is what an item counts for in the bounds of one Read.
func (item *Item) size() int {
	n := len(item.Text) + 64
	if item.Event != nil {
		n += len(item.Event.Data)
	}
	return n
}
