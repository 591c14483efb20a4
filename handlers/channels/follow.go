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
	ids map[string]bool
}

// add returns false if the stream is followed already.
func (f *followed) add(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[id] {
		return false
	}
	if f.ids == nil {
		f.ids = make(map[string]bool)
	}
	f.ids[id] = true
	return true
}

func (f *followed) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ids, id)
}

// follow pushes a completion from p on: completion_chunk for text, completion_delta for chunks with more than text, and
// its end.
func (a *completions) follow(s *hub.Stream, p log.Position, events completionEvents) error {
	if !a.followed.add(s.ID) {
		return nil
	}
	t := &completionRenderer{stream: s, events: events, over: func() { a.followed.remove(s.ID) }}
	_, err := a.c.Follow(s, p, t.render)
	return err
}

// completionRenderer encodes one stream for one client.
type completionRenderer struct {
	stream *hub.Stream
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

// chunk returns the payload of text, of an upstream's chunk with more than text, or of both.
func (t *completionRenderer) chunk(item *log.Item, at string) json.RawMessage {
	b := make([]byte, 0, len(item.Text)+len(item.Text)/8+256)
	b = jsonw.AppendString(append(b, `{"completion_id":`...), t.stream.ID)
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
	p := map[string]any{"completion_id": t.stream.ID, "request_id": t.stream.ID, "position": at, "timestamp": now()}
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
