package channels

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// completionEvents determines the events of a completion's end.
type completionEvents struct {
	done, failed string // event names
	// result adds members to the payload of done.
	result func(payload map[string]any, s *hub.Stream, end *streamEnd)
}

// followed are the streams that a channel follows, so that it does not follow one twice.
type followed struct {
	mu  sync.Mutex
	ids map[string]bool // true: for as long as the channel exists
}

// add returns false if the stream is followed already.
func (f *followed) add(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, is := f.ids[id]; is {
		return false
	}
	f.setLocked(id, false)
	return true
}

// keep is add for a stream that the channel's join goes on with. It is not followed again after its end, either: a
// client that is not sure whether its request was heard pushes it again, and has got all of it by then.
func (f *followed) keep(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setLocked(id, true)
}

func (f *followed) setLocked(id string, keep bool) {
	if f.ids == nil {
		f.ids = make(map[string]bool)
	}
	f.ids[id] = keep
}

// remove removes a stream that has ended.
func (f *followed) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ids[id] {
		delete(f.ids, id)
	}
}

// unless removes the stream if err says that it could not be followed. It returns err.
func (f *followed) unless(id string, err error) error {
	if err != nil {
		f.remove(id)
	}
	return err
}

// completionRenderer encodes one stream for one client.
type completionRenderer struct {
	stream *hub.Stream
	id     string // of the request (answerID)
	events completionEvents
	over   func()
}

// render implements socket.Renderer.
func (t *completionRenderer) render(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
	at := log.Position{Epoch: t.stream.Epoch(), Offset: item.To}.String()
	ev := item.Event
	switch {
	case ev == nil:
		return append(dst, socket.Outgoing{Event: "completion_chunk", Payload: t.chunk(item, at)})
	case ev.Kind == log.ChunkEvent && len(item.Text) > 0:
		return append(dst, socket.Outgoing{Event: "completion_chunk", Payload: t.chunk(item, at)})
	case ev.Kind == log.ChunkEvent:
		return append(dst, socket.Outgoing{Event: "completion_delta", Payload: t.chunk(item, at)})
	case ev.Kind == log.EndEvent:
		t.over()
		return append(dst, t.end(readEnd(ev.Data), at))
	}
	return dst
}

// open returns the members of every payload.
func (t *completionRenderer) open() map[string]any {
	return map[string]any{
		"id": t.id, "completion_id": t.stream.ID, "request_id": t.stream.ID, "timestamp": now(),
	}
}

// chunk returns the payload of text, of an upstream's chunk with more than text, or of both.
func (t *completionRenderer) chunk(item *log.Item, at string) json.RawMessage {
	b := make([]byte, 0, len(item.Text)+len(item.Text)/8+256)
	b = jsonw.AppendString(append(b, `{"id":`...), t.id)
	b = jsonw.AppendString(append(b, `,"completion_id":`...), t.stream.ID)
	b = jsonw.AppendString(append(b, `,"request_id":`...), t.stream.ID)
	if item.Text != nil {
		b = jsonw.AppendString(append(b, `,"chunk":`...), item.Text)
	}
	if item.Event != nil {
		b = append(jsonw.AppendKey(b, item.Event.Name), item.Event.Data...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), int64(item.At), 10)
	b = jsonw.AppendString(append(b, `,"position":`...), at)
	b = jsonw.AppendString(append(b, `,"timestamp":`...), now())
	return append(b, '}')
}

// end returns the last event.
func (t *completionRenderer) end(e *streamEnd, at string) socket.Outgoing {
	p := t.open()
	p["position"] = at
	event := t.events.done
	if e.Status == hub.StatusDone {
		p["usage"] = e.Usage
		t.events.result(p, t.stream, e)
	} else {
		event = t.events.failed
		p["error"], p["code"] = e.text(), e.Error.Code
	}
	return outgoing(event, p)
}

// streamEnd is the data of a stream's end (openapi.yaml: End).
type streamEnd struct {
	Status       hub.Status      `json:"status"`
	FinishReason *string         `json:"finish_reason"`
	Usage        json.RawMessage `json:"usage"`
	Error        hub.EndError    `json:"error"`
}

func readEnd(data []byte) *streamEnd {
	e := new(streamEnd)
	if err := json.Unmarshal(data, e); err != nil { // the hub wrote it
		panic(err)
	}
	return e
}

// text returns RubberDuck's "error": the status if somebody ended the stream, because clients compare it, else the
// error's message.
func (e *streamEnd) text() string {
	if e.Status == hub.StatusCancelled || e.Status == hub.StatusSuperseded {
		return string(e.Status)
	}
	return e.Error.Message
}

// now returns the current time as payloads have it.
func now() string { return time.Now().UTC().Format(hub.TimeFormat) }
