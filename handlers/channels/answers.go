package channels

import (
	"encoding/json"
	"strconv"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// followAnswer pushes an answer from p on, piece by piece, and then the events of the topic that waited for its end.
func (h *conversationHandler) followAnswer(s *hub.Stream, message string, p log.Position) error {
	_, err := h.c.Follow(s, p, func(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
		ev := item.Event
		switch {
		case ev == nil || ev.Kind == log.ChunkEvent && len(item.Text) > 0:
			return append(dst, socket.Outgoing{Event: "response_chunk", Payload: piece(s, message, item)})
		case ev.Kind == log.ChunkEvent: // chunks with more than text: tool calls, reasoning
			return append(dst, socket.Outgoing{Event: "response_delta", Payload: piece(s, message, item)})
		case ev.Kind == log.EndEvent:
			for _, ev := range h.order.Ended(s.ID) {
				dst = append(dst, socket.Outgoing{Event: ev.Name, Payload: ev.Payload(), At: positionOf(ev)})
			}
		}
		return dst
	})
	return err
}

// endOfAnswer returns the stream whose end an event reports, or "".
func endOfAnswer(ev *log.Event) string {
	switch ev.Name {
	case eventResponse, eventError, eventCancelled:
		return textMember(ev.Payload(), "stream")
	}
	return ""
}

// positionOf returns the position of an event in its topic's log.
func positionOf(ev *log.Event) log.Position {
	p, _ := log.ParsePosition(textMember(ev.Data, "position")) // the hub wrote it
	return p
}

// textMember returns a string member of an object, or "".
func textMember(object []byte, name string) string {
	for key, value := range jsonw.Members(object) {
		if string(key) == name {
			text, _ := jsonw.String(value)
			return text
		}
	}
	return ""
}

// piece returns the payload of one piece of an answer.
func piece(s *hub.Stream, message string, item *log.Item) json.RawMessage {
	b := openAnswer(message, s.ID)
	if item.Text != nil {
		b = jsonw.AppendString(append(b, `,"chunk":`...), item.Text)
	}
	if item.Event != nil {
		b = append(jsonw.AppendKey(b, item.Event.Name), item.Event.Data...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), int64(item.At), 10)
	b = jsonw.AppendString(append(b, `,"position":`...), log.Position{Epoch: s.Epoch(), Offset: item.To}.String())
	return append(b, '}')
}

// openAnswer returns the beginning of a payload about an answer.
func openAnswer(message, stream string) []byte {
	b := jsonw.AppendString(append(make([]byte, 0, 512), `{"message_id":`...), message)
	b = jsonw.AppendString(append(b, `,"stream":`...), stream)
	return jsonw.AppendString(append(b, `,"timestamp":`...), now())
}
