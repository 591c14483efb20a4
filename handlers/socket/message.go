package socket

import (
	"encoding/json"
	"sync/atomic"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub/errs"
)

// Message is one message of a client to a channel that it has joined.
type Message struct {
	Event   string
	Payload json.RawMessage // any JSON value; nil where it is bytes
	Bytes   []byte          // the payload of a binary message; nil where it is JSON

	channel *Channel
	ref     json.RawMessage
	replied atomic.Bool
}

// Decode reads the payload, which must be a JSON object, into v. Errors are *errs.FieldError.
func (m *Message) Decode(v any) error {
	if m.Bytes != nil {
		return errs.Invalid("payload", "must be a JSON object; got bytes")
	}
	return decodeObject(m.Payload, v)
}

// Reply answers with status ok; response is encoded as JSON, nil is {}.
func (m *Message) Reply(response any) { m.ReplyStatus("ok", response) }

// ReplyStatus answers with any status. A message is answered once; to a channel that has ended meanwhile nothing is sent.
func (m *Message) ReplyStatus(status string, response any) {
	c := m.channel
	m.send(textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, c.socket.version, c.pushRef, m.ref, c.topic, status, encode(response))
	}))
}

// ReplyBytes answers with bytes. Where the transport has no binary frames, or a field is too long for one, they are {"bytes": BASE64}.
func (m *Message) ReplyBytes(status string, response []byte) {
	c := m.channel
	if c.socket.binary {
		buf, err := phoenix.AppendBinaryReply(frameBuffer(len(response)), unquoteRef(c.pushRef), unquoteRef(m.ref), c.topic, status, response)
		if err == nil {
			m.send(seal(buf, opBinary))
			return
		}
	}
	m.ReplyStatus(status, map[string][]byte{"bytes": response})
}

// Fail answers with an error, as Reason words it.
func (m *Message) Fail(err error) {
	m.channel.Hub().CountLimit(err)
	m.ReplyStatus("error", Reason(err))
}

// send sends the reply, unless there was one: a Handler that has replied may still fail.
func (m *Message) send(f frame) {
	if !m.replied.Swap(true) {
		m.channel.send(f)
	}
}

// encode makes JSON of a response: {} of nil.
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
	if err != nil { // a mistake in a Kind: its client is told that there is something it does not see
		return []byte(`{"reason":"internal"}`)
	}
	return b
}

// unquoteRef returns a ref without its quotation marks, as binary frames hold it.
func unquoteRef(ref json.RawMessage) string {
	var s string
	if len(ref) > 0 && ref[0] == '"' && json.Unmarshal(ref, &s) == nil {
		return s
	}
	return string(ref)
}
