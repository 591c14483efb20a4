package conversation

import (
	"sync"

	"github.com/duckwire/duckwire/hub/log"
)

// AnswerOrder orders what one client gets of answers that it follows piece by piece. The pieces come from the stream
// and the end from the topic, which are read independently. So that the end is never sent before the last piece, events
// of the topic are buffered from the end of a followed answer on until its last piece was sent. Later events wait as
// well, so that positions on the topic never go back.
//
// The caller bounds the buffer: it reads the topic and the stream in turn, in portions of the same size, so the buffer
// has about as much as the answer has text. An AnswerOrder is safe for concurrent use.
type AnswerOrder struct {
	mu       sync.Mutex
	open     map[string]bool // streams whose last piece was not sent yet
	buffered []bufferedEvent
}

// bufferedEvent is an event that waits to be sent.
type bufferedEvent struct {
	event  *log.Event
	stream string // the stream whose end it is; "": none
}

// Expect makes Pass buffer the stream's end until Ended. It returns false if it was called for the stream before.
func (o *AnswerOrder) Expect(stream string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[stream] {
		return false
	}
	if o.open == nil {
		o.open = make(map[string]bool)
	}
	o.open[stream] = true
	return true
}

// Forget undoes Expect, for a stream that is not followed after all.
func (o *AnswerOrder) Forget(stream string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, stream)
}

// Pass reports whether an event of the topic may be sent now; otherwise it buffers the event. endOf returns the stream
// whose end an event is, or "".
func (o *AnswerOrder) Pass(ev *log.Event, endOf func(*log.Event) string) bool {
	if ev.Offset == 0 { // ephemeral events have no position, so their order does not matter
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	stream := ""
	if len(o.open) > 0 {
		stream = endOf(ev)
	}
	if len(o.buffered) == 0 && !o.open[stream] {
		return true
	}
	o.buffered = append(o.buffered, bufferedEvent{ev, stream})
	return false
}

// Ended says that the stream's last piece was sent. It returns the buffered events that may be sent now.
func (o *AnswerOrder) Ended(stream string) (events []*log.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, stream)
	for len(o.buffered) > 0 && !o.open[o.buffered[0].stream] {
		events = append(events, o.buffered[0].event)
		o.buffered[0] = bufferedEvent{}
		o.buffered = o.buffered[1:]
	}
	return events
}
