package hub

import (
	"sync/atomic"
	"time"
)

// Format is a wire format's slot in an Encoding. The packages that write a format choose their slot; the hub only keeps the bytes.
type Format uint8

// MaxFormats is the number of slots.
const MaxFormats = 6

// Encoding shares the bytes of one item in each wire format: the first reader that needs them makes them, and those that
// come soon after use them. The zero value is ready. Safe for concurrent use; where two readers encode at the same time,
// one result is kept.
//
// What is kept is counted in size, byte for byte: a slot that is filled adds to it, and one that is emptied subtracts.
// An entry that leaves its log's encoded tail is closed: late readers encode for themselves, and leave nothing behind.
type Encoding struct {
	slots [MaxFormats]atomic.Pointer[[]byte]
	size  *atomic.Int64 // of all encodings of the hub; nil: not counted
}

// closed is in the slots of an Encoding that keeps nothing any more.
var closed []byte

// Get returns the bytes in slot f, or nil.
func (e *Encoding) Get(f Format) []byte {
	if p := e.slots[f].Load(); p != nil {
		return *p
	}
	return nil
}

// Put offers bytes for slot f. They are kept where it is empty. b must not be changed afterwards.
func (e *Encoding) Put(f Format, b []byte) {
	if e.slots[f].CompareAndSwap(nil, &b) {
		e.count(len(b))
	}
}

// close frees the bytes for good: a reader that has the item already can put nothing into it any more.
func (e *Encoding) close() { e.empty(&closed) }

// clear frees the bytes for now.
func (e *Encoding) clear() { e.empty(nil) }

func (e *Encoding) empty(with *[]byte) {
	for i := range e.slots {
		if before := e.slots[i].Swap(with); before != nil {
			e.count(-len(*before))
		}
	}
}

func (e *Encoding) count(n int) {
	if e.size != nil {
		e.size.Add(int64(n))
	}
}

// EventKind tells what an Event is to its readers.
type EventKind uint8

// The kinds.
const (
	TopicEvent  EventKind = iota // Data is the envelope of design.md 2.3, a JSON object
	StreamEvent                  // a stream's structured entry: Data is a JSON value
	ChunkEvent                   // an upstream's chunk that is more than text: Data is OpenAI's chunk object, Text its text
	OpenEvent                    // a chat completion began; nothing to say but OpenAI's opening chunk
	EndEvent                     // the stream's end: Data is a JSON object (protocol/sse.md 6.1)
	QueueEvent                   // a user's message: Data is the message of design.md 2.5, a JSON object; Time is when it expires
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

	payload, payloadEnd int // TopicEvent: where the payload stands in Data

	key eventKey // under which a topic remembers it; zero: under none
}

// Payload returns the JSON value that a topic's event carries, a part of Data. It must not be changed.
func (ev *Event) Payload() []byte { return ev.Data[ev.payload:ev.payloadEnd:ev.payloadEnd] }

// Item is what a reader gets: one event, or text that may span many entries.
type Item struct {
	To    uint64 // the offset of the last entry in it; 0 for an ephemeral event
	At    int    // where Text begins, in bytes from the stream's beginning
	Text  []byte // shared, never to be changed; nil for an event without text
	Event *Event // nil for text
	*Encoding
}
