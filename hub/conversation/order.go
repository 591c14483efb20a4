package conversation

import (
	"sync"

	"github.com/duckwire/duckwire/hub/log"
)

// AnswerOrder is the order in which one client hears of answers that it follows piece by piece. Their pieces come from
// the stream and their ends from the topic, two places that are read each at its own pace. So events of the topic are
// buffered from the end of a followed answer on, until the last piece has gone out: positions on the topic never go
// back, and an end is never ahead of its text. The caller bounds what is buffered: it reads the topic and the stream in
// turn, portions of the same size, so about as much waits as the answer has text. Safe for concurrent use.
type AnswerOrder struct {
	mu       sync.Mutex
	open     map[string]bool // streams whose last piece has not gone out
	buffered []bufferedEvent
}

// bufferedEvent is an event that waits.
type bufferedEvent struct {
	event  *log.Event
	stream string // whose end it is; "": of none
}

// Expect begins to hold back the stream's end. It reports false where it does so already.
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

// Forget ends what Expect began, for a stream that is not followed after all.
func (o *AnswerOrder) Forget(stream string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, stream)
}

// Pass reports whether an event of the topic may go out now; else it is buffered. endOf returns the stream whose end an
// event tells, or "".
func (o *AnswerOrder) Pass(ev *log.Event, endOf func(*log.Event) string) bool {
	if ev.Offset == 0 { // ephemeral: it is of no order
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

// Ended says that the stream's last piece has gone out. It returns the events that may follow now.
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
