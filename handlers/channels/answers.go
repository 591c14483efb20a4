package channels

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// answers are those that one client follows piece by piece. Their pieces come from the stream and their ends from the topic, two places that
// are read each at its own pace. So what the topic says is held back from the end of a followed answer on until the last piece has gone out:
// positions on the topic never go back, and an end is never ahead of its text.
type answers struct {
	mu   sync.Mutex
	open map[string]bool // streams whose last piece has not gone out
	held []heldEvent
}

// heldEvent is an event that waits.
type heldEvent struct {
	out    socket.Outgoing
	stream string // whose end it is; "": of none
}

// expect begins to hold back the stream's end. It reports false where it does so already.
func (a *answers) expect(stream string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[stream] {
		return false
	}
	if a.open == nil {
		a.open = make(map[string]bool)
	}
	a.open[stream] = true
	return true
}

// forget ends what expect began, for a stream that is not followed after all.
func (a *answers) forget(stream string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, stream)
}

// pass reports whether an event of the topic may go out now; else it is held.
func (a *answers) pass(ev *log.Event) bool {
	if ev.Offset == 0 { // ephemeral: it is of no order
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	stream := ""
	if len(a.open) > 0 {
		stream = endOfAnswer(ev)
	}
	if len(a.held) == 0 && !a.open[stream] {
		return true
	}
	a.held = append(a.held, heldEvent{socket.Outgoing{Event: ev.Name, Payload: ev.Payload(), At: positionOf(ev)}, stream})
	return false
}

// ended lets go what waited for the end of a stream.
func (a *answers) ended(stream string, dst []socket.Outgoing) []socket.Outgoing {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, stream)
	for len(a.held) > 0 && !a.open[a.held[0].stream] {
		dst = append(dst, a.held[0].out)
		a.held[0] = heldEvent{}
		a.held = a.held[1:]
	}
	return dst
}

// endOfAnswer returns the stream whose end an event tells, or "".
func endOfAnswer(ev *log.Event) string {
	switch ev.Name {
	case "response", "error", "processing_cancelled":
	default:
		return ""
	}
	return textMember(ev.Payload(), "stream")
}

// positionOf returns the position of a kept event.
func positionOf(ev *log.Event) log.Position {
	p, _ := log.ParsePosition(textMember(ev.Data, "position")) // the hub wrote it
	return p
}

// textMember returns a member of an object that is text, or "".
func textMember(object []byte, name string) string {
	for key, value := range jsonw.Members(object) {
		if string(key) == name {
			text, _ := jsonw.String(value)
			return text
		}
	}
	return ""
}

// follow pushes an answer from behind p.
func (a *answers) follow(c *socket.Channel, s *hub.Stream, message string, p log.Position) error {
	_, err := c.Follow(s, p, func(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
		ev := item.Event
		switch {
		case ev == nil || ev.Kind == log.ChunkEvent && len(item.Text) > 0:
			return append(dst, socket.Outgoing{Event: "response_chunk", Payload: piece(s, message, item)})
		case ev.Kind == log.ChunkEvent: // tool calls, reasoning: what is more than text
			return append(dst, socket.Outgoing{Event: "response_delta", Payload: piece(s, message, item)})
		case ev.Kind == log.EndEvent:
			return a.ended(s.ID, dst)
		}
		return dst
	})
	return err
}

// piece is the payload of one piece of an answer.
func piece(s *hub.Stream, message string, item *log.Item) json.RawMessage {
	b := openAnswer(message, s.ID)
	if item.Text != nil {
		b = jsonw.AppendString(append(b, `,"chunk":`...), item.Text)
	}
	if item.Event != nil {
		b = append(append(b, `,"delta":`...), item.Event.Data...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), int64(item.At), 10)
	b = jsonw.AppendString(append(b, `,"position":`...), log.Position{Epoch: s.Epoch(), Offset: item.To}.String())
	return append(b, '}')
}
