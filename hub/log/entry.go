package log

import "time"

// EventKind says what an Event is to its readers.
type EventKind uint8

// The kinds.
const (
	TopicEvent  EventKind = iota // Data is the schema Envelope of openapi.yaml
	StreamEvent                  // a stream's structured entry: Data is a JSON value
	ChunkEvent                   // what an upstream sent besides text: Data is OpenAI's chunk, or its whole answer
	OpenEvent                    // what only OpenAI's formats show, such as the opening chunk of a chat
	EndEvent                     // the stream's end: Data is the schema End of openapi.yaml
	QueueEvent                   // a user's message: Data is the schema Message of openapi.yaml, Time its expiry
	AskedEvent                   // what asked for the stream, its first entry: no format shows it (hub.Stream.Asked)
)

// Event is one entry of a log that is not plain text. It is immutable once appended.
type Event struct {
	Encoding
	Kind   EventKind
	Name   string
	Data   []byte
	Text   string // ChunkEvent: its text, which is part of the stream's text
	Bytes  []byte // TopicEvent: the payload of a binary event; nil if it is JSON
	Except string // TopicEvent: the client that published it and does not want it back; "": none
	Time   time.Time
	Offset uint64 // 0 for an ephemeral event

	PayloadAt, PayloadEnd int // TopicEvent: the payload is Data[PayloadAt:PayloadEnd]

	Sender, ID string // TopicEvent: the sender, and the id that it gave the event; "": none
}

// Payload returns the payload of a TopicEvent, a JSON value. It is a part of Data and must not be changed.
func (ev *Event) Payload() []byte { return ev.Data[ev.PayloadAt:ev.PayloadEnd:ev.PayloadEnd] }

// Size returns about how many bytes the event takes in memory.
func (ev *Event) Size() int64 {
	return int64(len(ev.Data)+len(ev.Name)+len(ev.Bytes)) + EntryBytes + 224
}

// Item is what a reader gets: one event, or text that may span many entries.
type Item struct {
	To    uint64 // the offset of the last entry in it; 0 for an ephemeral event
	At    int    // where Text begins, in bytes from the stream's beginning
	Text  []byte // shared: never change it; nil for an event without text
	Event *Event // nil for text
	*Encoding
}

// size is what an item counts for towards MaxReadBytes.
func (item *Item) size() int {
	n := len(item.Text) + 64
	if item.Event != nil {
		n += len(item.Event.Data)
	}
	return n
}
