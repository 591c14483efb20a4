package socket

import (
	"encoding/json"
	"sync/atomic"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub/errs"
)

// Message is one message of a client to a channel that it has joined.
type Message struct {
	Event    string
	Payload  json.RawMessage // any JSON value; nil for a binary message
	Bytes    []byte          // payload of a binary message; nil for JSON
	Reserved Reserved        // from the payload's member "_duckwire", which Payload does not have

	channel *Channel
	ref     json.RawMessage
	replied atomic.Bool
}

// Decode decodes the payload, which must be a JSON object, into v. Errors are *errs.FieldError.
func (m *Message) Decode(v any) error {
	if m.Bytes != nil {
		return errs.Invalid("payload", "must be a JSON object; got bytes")
	}
	return decodeObject(m.Payload, v)
}

// Reply replies with status ok. response is encoded as JSON; nil is {}.
func (m *Message) Reply(response any) { m.ReplyStatus("ok", response) }

// ReplyStatus replies with any status. Only the first reply to a message is sent, and none after the channel has ended.
func (m *Message) ReplyStatus(status string, response any) {
	c := m.channel
	m.send(textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, c.socket.version, c.pushRef, m.ref, c.topic, status, encode(response))
	}))
}

// ReplyBytes replies with bytes. If the transport has no binary frames, or a field is too long for one, the reply is
// {"bytes": BASE64}.
func (m *Message) ReplyBytes(status string, response []byte) {
	c := m.channel
	if c.socket.binary {
		buf := frameBuffer(len(response))
		buf, err := phoenix.AppendBinaryReply(buf, unquoteRef(c.pushRef), unquoteRef(m.ref), c.topic, status, response)
		if err == nil {
			m.send(seal(buf, opBinary))
			return
		}
	}
	m.ReplyStatus(status, map[string][]byte{"bytes": response})
}

// Fail replies with an error, encoded by Reason.
func (m *Message) Fail(err error) {
	m.channel.Hub().CountLimit(err)
	m.ReplyStatus("error", Reason(err))
}

// send sends the reply, unless one was sent already: a Handler that has replied may still return an error.
func (m *Message) send(f frame) {
	if !m.replied.Swap(true) {
		m.channel.send(f)
	}
}

// encode encodes a response as JSON; nil is {}.
func encode(v any) []byte {
	switch v := v.(type) {
	case nil:
		return []byte("{}")
	case json.RawMessage:
		if len(v) == 0 {
			return []byte("{}")
		}
		return v
	}
	b, err := json.Marshal(v)
	if err != nil { // an error in the Kind's code: the client must learn that the response is missing
		return []byte(`{"reason":"internal"}`)
	}
	return b
}

// unquoteRef returns a ref without its quotation marks, as binary frames carry it.
func unquoteRef(ref json.RawMessage) string {
	var s string
	if isString(ref) && json.Unmarshal(ref, &s) == nil {
		return s
	}
	return string(ref)
}
