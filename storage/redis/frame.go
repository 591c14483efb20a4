package redis

import (
	"encoding/binary"
	"errors"
)

// frame is the unit that nodes send each other on the bus: a piece of a message, or a control frame about one.
//
// The encoding is the byte 1, the kind, and then as unsigned varints the id, the size of the whole message, the
// offset, and the length of the sender's name, followed by the name and the piece.
type frame struct {
	kind  frameKind
	from  string // sender
	id    uint64 // of the request; assigned by the node that asks
	size  uint64 // of the whole message
	at    uint64 // offset of the piece; in an ackFrame how much has been received
	piece []byte // in a rejectFrame the reason
}

type frameKind byte

const (
	requestFrame   frameKind = 'q' // a piece of a request
	answerFrame    frameKind = 'a' // a piece of the answer
	broadcastFrame frameKind = 't' // a piece of a broadcast to all nodes
	// Control frames have the kind of the message in the place of the size.
	ackFrame    frameKind = 'g' // the piece was received; send the next one
	rejectFrame frameKind = 'r' // the message is not accepted
	abortFrame  frameKind = 'd' // the sender gives up
)

// frameVersion is the first byte of each frame. Earlier versions of nodes sent JSON, which begins with another byte.
const frameVersion = 1

// maxMessage limits the size that a frame may announce. No valid message is that long, since the bodies of requests
// are limited.
const maxMessage = 1 << 30

var errFrame = errors.New("it is no frame of this version")

func (f *frame) encode() []byte {
	b := make([]byte, 0, 2+4*binary.MaxVarintLen64+len(f.from)+len(f.piece))
	b = append(b, frameVersion, byte(f.kind))
	for _, n := range []uint64{f.id, f.size, f.at, uint64(len(f.from))} {
		b = binary.AppendUvarint(b, n)
	}
	return append(append(b, f.from...), f.piece...)
}

// parseFrame parses a frame. The piece refers to b's memory.
func parseFrame(b []byte) (*frame, error) {
	if len(b) < 2 || b[0] != frameVersion {
		return nil, errFrame
	}
	f := &frame{kind: frameKind(b[1])}
	b = b[2:]
	var name uint64
	for _, to := range []*uint64{&f.id, &f.size, &f.at, &name} {
		n, length := binary.Uvarint(b)
		if length <= 0 {
			return nil, errFrame
		}
		*to, b = n, b[length:]
	}
	if name > uint64(len(b)) || f.size > maxMessage {
		return nil, errFrame
	}
	f.from, f.piece = string(b[:name]), b[name:]
	return f, nil
}

// controlFrame makes a control frame about a message of kind about.
func controlFrame(kind, about frameKind, from string, id, at uint64, reason string) *frame {
	return &frame{kind: kind, from: from, id: id, size: uint64(about), at: at, piece: []byte(reason)}
}

// about returns the kind of message that a control frame is about.
func (f *frame) about() frameKind { return frameKind(f.size) }
