package phoenix

import (
	"errors"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// Kinds of binary frames.
const (
	kindPush      = 0
	kindReply     = 1
	kindBroadcast = 2
)

// MaxBinaryField is the maximum length of a string in a binary frame, in bytes.
const MaxBinaryField = 255

// ErrBinaryField means that a string is too long for a binary frame.
var ErrBinaryField = errors.New("a binary frame has no room for a string of more than 255 bytes")

// AppendText appends a text frame. joinRef, ref and payload are JSON values, nil for null. V1 has no join_ref.
func AppendText[T ~string | ~[]byte](
	dst []byte, v Version, joinRef, ref []byte, topic, event T, payload []byte,
) []byte {
	if v == V1 {
		dst = appendHeadV1(dst, topic, event)
		dst = jsonw.AppendRaw(dst, payload)
		return appendTailV1(dst, ref)
	}
	dst = appendHead(dst, joinRef, ref, topic, event)
	dst = jsonw.AppendRaw(dst, payload)
	return append(dst, ']')
}

// AppendReply appends the reply to the message ref: {"status","response"}. response is any JSON value.
func AppendReply[T ~string | ~[]byte](
	dst []byte, v Version, joinRef, ref []byte, topic T, status string, response []byte,
) []byte {
	if v == V1 {
		dst = appendHeadV1(dst, topic, T(EventReply))
		dst = appendReplyPayload(dst, status, response)
		return appendTailV1(dst, ref)
	}
	dst = appendHead(dst, joinRef, ref, topic, T(EventReply))
	dst = appendReplyPayload(dst, status, response)
	return append(dst, ']')
}

// AppendUnmatched appends the reply to a message for a topic that is not joined. topic is a JSON value, which is echoed
// unchanged.
func AppendUnmatched(dst []byte, v Version, ref, topic []byte) []byte {
	return AppendRefusal(dst, v, nil, ref, topic, []byte(`{"reason":"unmatched topic"}`))
}

// AppendRefusal appends an error reply to a message whose topic may be any JSON value, which is echoed unchanged.
func AppendRefusal(dst []byte, v Version, joinRef, ref, topic, response []byte) []byte {
	if v == V1 {
		dst = append(append(dst, `{"topic":`...), topic...)
		dst = appendReplyPayload(append(dst, `,"event":"phx_reply","payload":`...), "error", response)
		return appendTailV1(dst, ref)
	}
	dst = append(jsonw.AppendRaw(append(dst, '['), joinRef), ',')
	dst = append(jsonw.AppendRaw(dst, ref), ',')
	dst = append(append(dst, topic...), `,"phx_reply",`...)
	return append(appendReplyPayload(dst, "error", response), ']')
}

func appendHead[T ~string | ~[]byte](dst, joinRef, ref []byte, topic, event T) []byte {
	dst = append(dst, '[')
	dst = append(jsonw.AppendRaw(dst, joinRef), ',')
	dst = append(jsonw.AppendRaw(dst, ref), ',')
	dst = append(jsonw.AppendString(dst, topic), ',')
	return append(jsonw.AppendString(dst, event), ',')
}

func appendHeadV1[T ~string | ~[]byte](dst []byte, topic, event T) []byte {
	dst = append(dst, `{"topic":`...)
	dst = jsonw.AppendString(dst, topic)
	dst = append(dst, `,"event":`...)
	dst = jsonw.AppendString(dst, event)
	return append(dst, `,"payload":`...)
}

func appendTailV1(dst, ref []byte) []byte {
	dst = append(dst, `,"ref":`...)
	return append(jsonw.AppendRaw(dst, ref), '}')
}

func appendReplyPayload(dst []byte, status string, response []byte) []byte {
	dst = append(dst, `{"status":`...)
	dst = jsonw.AppendString(dst, status)
	dst = append(dst, `,"response":`...)
	return append(jsonw.AppendRaw(dst, response), '}')
}

// AppendBinaryPush appends a push to one client. Unlike a client's push, which has four lengths, it has three lengths
// and no ref. joinRef is the join_ref without quotation marks. Error: ErrBinaryField.
func AppendBinaryPush(dst []byte, joinRef, topic, event string, payload []byte) ([]byte, error) {
	return appendBinary(dst, kindPush, payload, joinRef, topic, event)
}

// AppendBinaryReply appends a reply with a binary response. Error: ErrBinaryField.
func AppendBinaryReply(dst []byte, joinRef, ref, topic, status string, payload []byte) ([]byte, error) {
	return appendBinary(dst, kindReply, payload, joinRef, ref, topic, status)
}

// AppendBinaryBroadcast appends a broadcast: two lengths, no refs. Error: ErrBinaryField.
func AppendBinaryBroadcast(dst []byte, topic, event string, payload []byte) ([]byte, error) {
	return appendBinary(dst, kindBroadcast, payload, topic, event)
}

func appendBinary(dst []byte, kind byte, payload []byte, fields ...string) ([]byte, error) {
	out := append(dst, kind)
	for _, f := range fields {
		if len(f) > MaxBinaryField {
			return dst, ErrBinaryField
		}
		out = append(out, byte(len(f)))
	}
	for _, f := range fields {
		out = append(out, f...)
	}
	return append(out, payload...), nil
}
