package socket

import "encoding/binary"

// frame is one message to a client as a complete, unmasked WebSocket frame (RFC 6455 §5.2): header and payload. Other
// transports take the payload out of it. Frames of topics are shared by all readers and must not be modified.
type frame []byte

// Opcodes.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// headerRoom is the space that a buffer reserves for the longest header.
const headerRoom = 10

// frameBuffer returns a buffer for a frame with a payload of about n bytes.
func frameBuffer(n int) []byte { return make([]byte, headerRoom, headerRoom+n+96) }

// seal writes the header before the payload in buf, and returns the frame.
func seal(buf []byte, opcode byte) frame {
	n := len(buf) - headerRoom
	var begin int
	switch {
	case n < 126:
		begin = headerRoom - 2
		buf[begin+1] = byte(n)
	case n < 1<<16:
		begin = headerRoom - 4
		buf[begin+1] = 126
		binary.BigEndian.PutUint16(buf[begin+2:], uint16(n))
	default:
		begin = headerRoom - 10
		buf[begin+1] = 127
		binary.BigEndian.PutUint64(buf[begin+2:], uint64(n))
	}
	buf[begin] = 1<<7 | opcode // final
	return buf[begin:]
}

// textFrame returns a text frame with the payload that write appends.
func textFrame(write func(dst []byte) []byte) frame { return seal(write(frameBuffer(160)), opText) }

// payload returns the frame's payload.
func (f frame) payload() []byte {
	switch f[1] {
	case 126:
		return f[4:]
	case 127:
		return f[10:]
	}
	return f[2:]
}
