package socket

import (
	"net/http"
	"unicode/utf8"
)

// A browser shows a WebSocket's messages only when they are complete. On a slow link a client could not tell a long
// message that is arriving from a dead connection. So clients that ask for it with the query parameter duckwire=parts get
// each long frame as several messages: a byte that says whether more parts follow, and a part of the frame's payload.
// Text stays text, and no part splits a character. No frame of the protocol begins with these bytes.
const (
	partMore = '+'
	partLast = '.'
)

// partBytes is the size of a part, and of the longest frame that is sent as a whole.
const partBytes = 16 << 10

// wantsParts reports whether a client takes long frames in parts.
func wantsParts(r *http.Request) bool { return r.URL.Query().Get("duckwire") == "parts" }

// appendPart appends the first part of a frame's payload as a message, and returns the rest of the payload.
func appendPart(dst []byte, payload []byte, opcode byte) (out, rest []byte) {
	n := len(payload)
	if n > partBytes {
		n = partBytes
		for opcode == opText && !utf8.RuneStart(payload[n]) {
			n--
		}
	}
	kind := byte(partMore)
	if n == len(payload) {
		kind = partLast
	}
	buf := append(append(frameBuffer(n+1), kind), payload[:n]...)
	return append(dst, seal(buf, opcode)...), payload[n:]
}
