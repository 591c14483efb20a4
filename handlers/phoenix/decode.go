package phoenix

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

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

	// BadTopic is a topic that is not a string. It matches no channel, and is only echoed.
	BadTopic json.RawMessage
}

// Errors of the decoders. The socket must be closed after them, as Phoenix does when a serializer raises.
var (
	ErrUTF8  = errors.New("the frame is not valid UTF-8")
	ErrFrame = errors.New("the frame is not a message")
)

// DecodeText decodes a text frame: [join_ref, ref, topic, event, payload] in V2, where elements after the fifth are
// ignored; {"topic","event","payload","ref","join_ref"?} in V1. Errors: ErrUTF8, ErrFrame.
func DecodeText(v Version, frame []byte) (Message, error) {
	if !utf8.Valid(frame) {
		return Message{}, ErrUTF8
	}
	if !json.Valid(frame) || hasLoneSurrogate(frame) {
		return Message{}, ErrFrame
	}
	if v == V1 {
		return decodeObject(frame)
	}
	var fields [5][]byte
	n := 0
	for value := range jsonw.Elements(frame) {
		if n < len(fields) {
			fields[n] = value
		}
		n++
	}
	if n < len(fields) {
		return Message{}, ErrFrame
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
	if topic == nil || event == nil || payload == nil || ref == nil {
		return Message{}, ErrFrame
	}
	return newMessage(joinRef, ref, topic, event, payload)
}

func newMessage(joinRef, ref, topic, event, payload []byte) (Message, error) {
	m := Message{JoinRef: notNull(joinRef), Ref: notNull(ref), Payload: payload}
	if topic[0] != '"' {
		m.BadTopic = topic
	} else if err := json.Unmarshal(topic, &m.Topic); err != nil {
		return Message{}, ErrFrame
	}
	if event[0] == '"' {
		if err := json.Unmarshal(event, &m.Event); err != nil {
			return Message{}, ErrFrame
		}
	}
	return m, nil
}

func notNull(raw []byte) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

// pushHeader is the length of a client's binary push before its strings: its kind and four lengths.
const pushHeader = 5

// DecodeBinary decodes a binary frame of V2: a push, whose empty join_ref is not null, or a broadcast of Supabase's
// client, which becomes the message that the client would send as text (userbroadcast.go).
func DecodeBinary(frame []byte) (Message, error) {
	if len(frame) > 0 && frame[0] == kindUserPush {
		return decodeUserPush(frame)
	}
	if len(frame) < pushHeader || frame[0] != kindPush {
		return Message{}, ErrFrame
	}
	rest := frame[pushHeader:]
	var fields [4][]byte
	for i := range fields {
		n := int(frame[1+i])
		if len(rest) < n {
			return Message{}, ErrFrame
		}
		fields[i], rest = rest[:n], rest[n:]
	}
	for _, f := range fields {
		if !utf8.Valid(f) { // clients up to 1.8.1 corrupt non-ASCII strings
			return Message{}, ErrFrame
		}
	}
	return Message{
		JoinRef: jsonw.AppendString(nil, fields[0]), Ref: jsonw.AppendString(nil, fields[1]),
		Topic: string(fields[2]), Event: string(fields[3]), Bytes: rest[:len(rest):len(rest)],
	}, nil
}

// hasLoneSurrogate reports whether a string in the JSON text has an escaped surrogate without its pair. That is not
// Unicode text, and other servers of the protocol reject it.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		switch half := text[i+1] | 0x20; {
		case half != 'd' || text[i+2] < '8':
		case text[i+2]|0x20 >= 'c': // a low surrogate without a high one before it
			return true
		case i+7 < len(text) && text[i+5] == '\\' && text[i+6] == 'u' && text[i+7]|0x20 == 'd' && text[i+8]|0x20 >= 'c':
			i += 8
		default:
			return true
		}
	}
	return false
}
