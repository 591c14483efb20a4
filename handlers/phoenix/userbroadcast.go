package phoenix

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// Supabase adds two kinds of binary frames to V2, in which a broadcast's payload is JSON or bytes
// (github.com/supabase/realtime, lib/realtime_web/socket/v2_serializer.ex). Here such a push is decoded into the
// message that the same client sends in a text frame, so that no channel needs to know of them.
const (
	kindUserPush      = 3
	kindUserBroadcast = 4
)

// Encodings of the payload in a frame of these kinds.
const (
	userBytes = 0
	userJSON  = 1
)

// EventBroadcast is the event of Supabase's broadcasts. Its payload is a UserBroadcast.
const EventBroadcast = "broadcast"

// UserBroadcast is the payload of EventBroadcast: {"type": "broadcast", "event", "payload"}. In text frames, bytes are
// base64 in a member "bytes", in place of "payload".
type UserBroadcast struct {
	Type    string          `json:"type"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload,omitempty"` // any JSON value
	Bytes   *[]byte         `json:"bytes,omitempty"`
}

// AppendUserBroadcast appends the payload of EventBroadcast. payload is a JSON value; if it is nil, bytes is the
// payload.
func AppendUserBroadcast[T ~string | ~[]byte](dst []byte, event T, payload, bytes []byte) []byte {
	dst = append(dst, `{"type":"broadcast","event":`...)
	dst = jsonw.AppendString(dst, event)
	if payload != nil {
		dst = append(append(dst, `,"payload":`...), payload...)
	} else {
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"bytes":"`...), bytes)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// userPushHeader is the length of such a push before its strings: its kind, five lengths and the encoding.
const userPushHeader = 7

// decodeUserPush decodes a frame of kindUserPush. An empty join_ref is null. Its metadata ("persist") is for Supabase's
// database, and is ignored. With ErrFrame it returns what could be read of the refs and the topic.
func decodeUserPush(frame []byte) (m Message, err error) {
	if len(frame) < userPushHeader {
		return m, fault("frame", "is shorter than its header")
	}
	encoding, rest := frame[userPushHeader-1], frame[userPushHeader:]
	var fields [5][]byte // join_ref, ref, topic, event, metadata
	for i := range fields {
		n := int(frame[1+i])
		if len(rest) < n {
			return m, fault("frame", "is shorter than its strings")
		}
		fields[i], rest = utf8OrLatin1(rest[:n]), rest[n:]
	}
	if len(fields[0]) > 0 {
		m.JoinRef = jsonw.AppendString(nil, fields[0])
	}
	m.Ref = jsonw.AppendString(nil, fields[1])
	m.Topic, m.Event = string(fields[2]), EventBroadcast
	switch {
	case encoding == userBytes:
		m.Payload = AppendUserBroadcast(nil, fields[3], nil, rest)
	case encoding != userJSON:
		return m, fault("encoding", "must be %d, bytes, or %d, JSON; got %d", userBytes, userJSON, encoding)
	case !utf8.Valid(rest) || !json.Valid(rest):
		return m, fault("payload", "is not valid JSON in UTF-8")
	default:
		m.Payload = AppendUserBroadcast(nil, fields[3], rest, nil)
	}
	return m, nil
}

// utf8OrLatin1 returns a string of a frame. Clients up to 2.109 write the low byte of each character, which is Latin-1
// for most European languages.
func utf8OrLatin1(s []byte) []byte {
	if utf8.Valid(s) {
		return s
	}
	var out []byte
	for _, c := range s {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// AppendUserBroadcastFrame appends a broadcast with a payload of bytes as a binary frame, without metadata. Error:
// ErrBinaryField.
func AppendUserBroadcastFrame(dst []byte, topic, event string, payload []byte) ([]byte, error) {
	if len(topic) > MaxBinaryField || len(event) > MaxBinaryField {
		return dst, ErrBinaryField
	}
	dst = append(dst, kindUserBroadcast, byte(len(topic)), byte(len(event)), 0, userBytes)
	dst = append(append(dst, topic...), event...)
	return append(dst, payload...), nil
}
