package phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Reserved events, and the topic of the heartbeat.
const (
	EventJoin      = "phx_join"
	EventLeave     = "phx_leave"
	EventReply     = "phx_reply"
	EventError     = "phx_error"
	EventClose     = "phx_close"
	EventHeartbeat = "heartbeat"
	TopicPhoenix   = "phoenix"
)

// Message is a client's message. Its slices refer to the frame that it was decoded from.
type Message struct {
	JoinRef json.RawMessage // as received, any JSON value; nil for null
	Ref     json.RawMessage // likewise
	Topic   string
	Event   string
	Payload json.RawMessage // any JSON value; nil for a binary message
	Bytes   []byte          // payload of a binary message; nil otherwise

	Size int // size of the frame, if the caller sets it; the slices keep the whole frame in memory

	// BadTopic is a topic that is no string, or one with lone surrogates. It matches no channel, and is only echoed.
	BadTopic json.RawMessage
}

// Errors of the decoders. The message that comes with one has what could be read of its refs and its topic, so that it
// can be answered. Another ErrFrame than ErrGarbage also matches errs.ErrInvalid, and names the member that is wrong.
var (
	ErrUTF8  = errors.New("the frame is not valid UTF-8")
	ErrFrame = errors.New("the frame is not a message")
	// ErrGarbage is an ErrFrame of a text that is not JSON, and of which nothing can be read. No client of the protocol
	// sends it. Phoenix closes the socket.
	ErrGarbage = fmt.Errorf("%w: it is not JSON", ErrFrame)
)

// fault returns an ErrFrame: field is the name of a member, or "frame".
func fault(field, reason string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFrame, errs.Invalid(field, reason, args...))
}

// members are the names of the elements of a V2 frame.
var members = [5]string{"join_ref", "ref", "topic", "event", "payload"}

// DecodeText decodes a text frame: [join_ref, ref, topic, event, payload] in V2, where elements after the fifth are
// ignored; {"topic","event","payload","ref","join_ref"?} in V1. In the payload, escapes of lone surrogates become
// U+FFFD, because other clients could not read them. Errors: ErrUTF8, ErrFrame, ErrGarbage.
func DecodeText(v Version, frame []byte) (Message, error) {
	if !utf8.Valid(frame) {
		return DecodeHead(frame), ErrUTF8
	}
	if !json.Valid(frame) {
		m := DecodeHead(frame)
		if m.isEmpty() {
			return m, ErrGarbage
		}
		return m, fault("frame", "is not valid JSON, or is nested too deeply")
	}
	if v == V1 {
		return decodeObject(frame)
	}
	var fields [len(members)][]byte
	n := 0
	for value := range jsonw.Elements(frame) {
		if n < len(fields) {
			fields[n] = value
		}
		n++
	}
	switch {
	case n == 0:
		return DecodeHead(frame), fault("frame", "must be an array: [join_ref, ref, topic, event, payload]")
	case n < len(fields):
		return DecodeHead(frame), fault(members[n], "is missing")
	}
	return newMessage(fields[0], fields[1], fields[2], fields[3], fields[4])
}

func decodeObject(frame []byte) (Message, error) {
	var joinRef, ref, topic, event, payload []byte
	for name, value := range jsonw.Members(frame) {
		switch string(name) {
		case "topic":
			topic = value
		case "event":
			event = value
		case "payload":
			payload = value
		case "ref":
			ref = value
		case "join_ref":
			joinRef = value
		}
	}
	for i, value := range [][]byte{ref, topic, event, payload} {
		if value == nil {
			return DecodeHead(frame), fault(members[1+i], "is missing")
		}
	}
	return newMessage(joinRef, ref, topic, event, payload)
}

func newMessage(joinRef, ref, topic, event, payload []byte) (Message, error) {
	m := Message{JoinRef: refOf(joinRef), Ref: refOf(ref), Payload: jsonw.ReplaceLoneSurrogates(payload)}
	m.setTopic(topic)
	if event[0] != '"' {
		return m, fault("event", "must be a string")
	}
	return m, json.Unmarshal(event, &m.Event) // the frame is valid JSON
}

func (m *Message) isEmpty() bool {
	return m.JoinRef == nil && m.Ref == nil && m.Topic == "" && m.BadTopic == nil
}

// setTopic sets Topic, or BadTopic. A text with lone surrogates is bad: the client would not recognize it with U+FFFD.
func (m *Message) setTopic(raw []byte) {
	if raw[0] != '"' || !bytes.Equal(jsonw.ReplaceLoneSurrogates(raw), raw) || json.Unmarshal(raw, &m.Topic) != nil {
		m.BadTopic = oneLine(raw)
	}
}

func refOf(raw []byte) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return oneLine(raw)
}

// oneLine returns a value that is echoed without line feeds, which would end a line of an event stream.
func oneLine(raw []byte) []byte {
	if raw[0] != '[' && raw[0] != '{' {
		return raw
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // valid already
	return b.Bytes()
}

// MaxHead is how many bytes of a frame DecodeHead reads: more than refs and a topic need.
const MaxHead = 2 << 10

// DecodeHead returns what can be read of the refs and the topic of a text frame that is refused, from its beginning. In
// an array (V2) these are the first elements. In an object (V1) they may come after the payload.
func DecodeHead(frame []byte) (m Message) {
	frame = bytes.ToValidUTF8(frame[:min(len(frame), MaxHead)], []byte("\ufffd"))
	d := json.NewDecoder(bytes.NewReader(frame))
	open, _ := d.Token()
	for i := 0; (open == json.Delim('[') || open == json.Delim('{')) && d.More(); i++ {
		name := members[min(i, len(members)-1)]
		if open == json.Delim('{') {
			key, _ := d.Token()
			name, _ = key.(string)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break
		}
		switch name {
		case "join_ref":
			m.JoinRef = refOf(value)
		case "ref":
			m.Ref = refOf(value)
		case "topic":
			m.setTopic(value)
		}
	}
	return m
}

// pushHeader is the length of a client's binary push before its strings: its kind and four lengths.
const pushHeader = 5

// DecodeBinary decodes a binary frame of V2: a push, whose empty join_ref is not null, or a broadcast of Supabase's
// client, which becomes the message that the client would send as text (userbroadcast.go). Error: ErrFrame.
func DecodeBinary(frame []byte) (Message, error) {
	if len(frame) > 0 && frame[0] == kindUserPush {
		return decodeUserPush(frame)
	}
	fields, rest := pushFields(frame)
	m := Message{Topic: string(fields[2]), Event: string(fields[3])}
	if fields[0] != nil {
		m.JoinRef = jsonw.AppendString(nil, fields[0])
	}
	if fields[1] != nil {
		m.Ref = jsonw.AppendString(nil, fields[1])
	}
	switch {
	case len(frame) > 0 && frame[0] != kindPush:
		return m, fault("kind", "must be %d, a push, or %d, a broadcast of Supabase; got %d", kindPush, kindUserPush, frame[0])
	case rest == nil:
		return m, fault("frame", "is shorter than a push with its strings")
	}
	for i, f := range fields {
		if !utf8.Valid(f) { // clients up to 1.8.1 corrupt non-ASCII strings
			return m, fault(members[i], "is not valid UTF-8")
		}
	}
	m.Bytes = rest[:len(rest):len(rest)]
	return m, nil
}

// pushFields returns the strings of a push, and what follows them. A string that the frame does not have whole is nil,
// and so are those behind it, and rest. A frame of an unknown kind is taken for a push, since all kinds with refs begin
// with them. Broadcasts have none.
func pushFields(frame []byte) (fields [4][]byte, rest []byte) {
	if len(frame) < pushHeader || frame[0] == kindBroadcast {
		return fields, nil
	}
	rest = frame[pushHeader:]
	for i := range fields {
		n := int(frame[1+i])
		if len(rest) < n {
			return fields, nil
		}
		fields[i], rest = rest[:n:n], rest[n:]
	}
	return fields, rest
}
