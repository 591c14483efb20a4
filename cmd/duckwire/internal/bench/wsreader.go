package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/url"
)

// Transport is the transport over which readers read.
type Transport string

// The transports.
const (
	SSE       Transport = "sse"
	WebSocket Transport = "ws"
)

// Set implements pflag.Value.
func (t *Transport) Set(text string) error {
	switch Transport(text) {
	case SSE, WebSocket:
		*t = Transport(text)
		return nil
	}
	return fmt.Errorf("must be sse or ws")
}

// String implements pflag.Value.
func (t *Transport) String() string { return string(*t) }

// name returns the transport's name for reports; the zero value is SSE.
func (t Transport) name() string {
	if t == WebSocket {
		return "WebSocket"
	}
	return "SSE"
}

// Type implements pflag.Value.
func (t *Transport) Type() string { return "sse|ws" }

// socketPath is the path of Phoenix sockets.
const socketPath = "/socket/websocket"

// topicFeed returns the feed of a topic, which is read over the given transport.
func topicFeed(topic string, over Transport) *feed {
	path := "/v1/topics/" + topic + "/events"
	f := &feed{read: path, write: path, parse: parseEvent}
	if over == WebSocket {
		f.topic, f.parse = topic, parseFrame
		// room is for the bare loop, which does not parse the join
		f.read = socketPath + "?vsn=2.0.0&room=" + url.QueryEscape(path)
	}
	return f
}

// upgrade is the head of the handshake (RFC 6455 §4.1); the key is arbitrary.
const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
	"AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// join joins the feed's topic, after lastID if positions are recorded. It returns after the reply: from then on the
// reader must receive every event.
func (r *reader) join() error {
	if err := r.sendJoin(); err != nil {
		return err
	}
	for !r.joined {
		n, err := r.conn.Read(r.buf)
		if err != nil {
			return err
		}
		if err := r.take(r.buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) sendJoin() error {
	params := map[string]string{}
	if r.keepID {
		params["after"] = "now"
		if r.lastID != "" {
			params["after"] = r.lastID
		}
	}
	frame, err := json.Marshal([]any{"1", "1", r.feed.topic, "phx_join", params})
	if err != nil {
		return err
	}
	_, err = r.conn.Write(appendMasked(nil, frame))
	return err
}

// appendMasked appends a client's text frame, with a mask of zero.
func appendMasked(dst, payload []byte) []byte {
	dst = append(dst, 0x81)
	if n := len(payload); n < 126 {
		dst = append(dst, 0x80|byte(n))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// frames processes the complete frames in b and returns the rest.
func (r *reader) frames(b []byte, now int64) ([]byte, error) {
	for {
		payload, rest, ok := cutFrame(b)
		if !ok {
			return b, nil
		}
		if op := b[0] & 15; op == 8 {
			return nil, fmt.Errorf("the server closed the socket after event %d: %q", r.got.Load(), payload)
		} else if op == 1 {
			r.joined = r.joined || bytes.Contains(payload, replyMark)
			if err := r.block(payload, now); err != nil {
				return nil, err
			}
		}
		b = rest
	}
}

// cutFrame splits the first frame off b. A server's frames have no mask.
func cutFrame(b []byte) (payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	n, head := int(b[1]), 2
	switch n {
	case 126:
		if head = 4; len(b) < head {
			return nil, b, false
		}
		n = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return nil, b, false
		}
		n = int(binary.BigEndian.Uint64(b[2:]))
	}
	if n < 0 || len(b)-head < n {
		return nil, b, false
	}
	return b[head : head+n], b[head+n:], true
}

var (
	replyMark  = []byte(`"phx_reply"`)
	missedMark = []byte(`"recovered":false`)
	errorMark  = []byte(`"status":"error"`)
)

// parseFrame parses a frame like parseEvent. It also returns an error for a failed join, or one that does not resume.
func parseFrame(frame []byte, next uint64) (uint64, error) {
	if bytes.Contains(frame, replyMark) && (bytes.Contains(frame, errorMark) || bytes.Contains(frame, missedMark)) {
		return 0, fmt.Errorf("the server says %q", frame)
	}
	return parseEvent(frame, next)
}

// framePosition returns the position, which is the ref of a broadcast: [null,"POSITION",…
func framePosition(frame []byte) string {
	rest, ok := bytes.CutPrefix(frame, []byte(`[null,"`))
	position, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return ""
	}
	return string(position)
}
