package socket

import (
	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// A bad message harms itself alone: it is answered with an error, and the socket and its channels go on. A close would
// harm all channels, and the official client reconnects after it, joins again with the same parameters, and is closed
// again.

// hardFactor is how many times FrameBytes a message may have before its connection is closed. What is between is read,
// dropped as it arrives, and refused.
const hardFactor = 8

// HardBytes is the size of a message, in bytes, above which it is not even refused: its connection is closed.
func (o *Options) HardBytes() int64 { return hardFactor * o.FrameBytes }

// errBinaryV1 refuses a binary frame of a client whose serializer has none.
var errBinaryV1 = errs.Invalid("frame", "version 1.0.0 of the serializer has no binary frames")

// refuse answers a message that cannot be dispatched. It counts as an event: beyond that rate, the reply says so.
func (s *Socket) refuse(m *phoenix.Message, err error) {
	if limit := s.server.Rates.Take(ratelimit.Events, ratelimit.Of(s.identity()), 1); limit != nil {
		err = limit
	}
	s.server.Hub.CountLimit(err)
	s.post(textFrame(func(dst []byte) []byte {
		return phoenix.AppendRefusal(dst, s.version, m.JoinRef, m.Ref, topicOf(m), encode(Reason(err)))
	}))
}

// topicOf returns a message's topic as JSON. One that could not be read is the protocol's own, which no client joins.
func topicOf(m *phoenix.Message) []byte {
	switch {
	case m.BadTopic != nil:
		return m.BadTopic
	case m.Topic == "":
		return []byte(`"` + phoenix.TopicPhoenix + `"`)
	}
	return jsonw.AppendString(nil, m.Topic)
}
