package channels

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// answer is one answer of a conversation, as a client gets it piece by piece.
type answer struct {
	stream  *hub.Stream
	message string // the question's id
	id      string // the id that the question's client gave it, or message
	order   *conversation.AnswerOrder
}

// render implements socket.Renderer: the pieces, and then the events of the topic that waited for the answer's end.
func (a *answer) render(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
	ev := item.Event
	switch {
	case ev == nil || ev.Kind == log.ChunkEvent && len(item.Text) > 0:
		return append(dst, socket.Outgoing{Event: "response_chunk", Payload: a.piece(item)})
	case ev.Kind == log.ChunkEvent: // chunks with more than text: tool calls, reasoning
		return append(dst, socket.Outgoing{Event: "response_delta", Payload: a.piece(item)})
	case ev.Kind == log.EndEvent:
		for _, ev := range a.order.Ended(a.stream.ID) {
			dst = append(dst, socket.Outgoing{Event: ev.Name, Payload: ev.Payload(), At: positionOf(ev)})
		}
	}
	return dst
}

// goOn continues the answers that the client followed before its connection was cut. Those that the conversation has
// forgotten are skipped: their ends are events of the topic.
func (h *conversationHandler) goOn() error {
	for _, from := range h.c.Unfinished() {
		q, err := h.session.Question("", from.Stream)
		if err != nil {
			continue
		}
		s, err := h.c.Hub().Stream(h.c.User(), from.Stream)
		if errors.Is(err, errs.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		h.order.Expect(s.ID)
		if err := h.c.Continue(socket.Following{Stream: s, Render: h.answerTo(q, s).render}, from); err != nil {
			return err
		}
	}
	return nil
}

// answerTo returns the answer to a question.
func (h *conversationHandler) answerTo(q *conversation.Message, s *hub.Stream) *answer {
	return &answer{s, q.ID, cmp.Or(q.Metadata.Alias, q.ID), &h.order}
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

// piece returns the payload of one piece of the answer.
func (a *answer) piece(item *log.Item) json.RawMessage {
	b := jsonw.AppendString(append(openAnswer(a.message, a.stream.ID), `,"id":`...), a.id)
	if item.Text != nil {
		b = jsonw.AppendString(append(b, `,"chunk":`...), item.Text)
	}
	if item.Event != nil {
		b = append(jsonw.AppendKey(b, item.Event.Name), item.Event.Data...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), int64(item.At), 10)
	b = jsonw.AppendString(append(b, `,"position":`...), log.Position{Epoch: a.stream.Epoch(), Offset: item.To}.String())
	return append(b, '}')
}

// openAnswer returns the beginning of a payload about an answer.
func openAnswer(message, stream string) []byte {
	b := jsonw.AppendString(append(make([]byte, 0, 512), `{"message_id":`...), message)
	b = jsonw.AppendString(append(b, `,"stream":`...), stream)
	return jsonw.AppendString(append(b, `,"timestamp":`...), now())
}
