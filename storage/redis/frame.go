package redis

import (
	"encoding/binary"
	"errors"
)

// frame is what nodes tell each other on the bus: a piece of a message, or a word about one.
//
// On the wire it is the byte 1, the kind, then as unsigned varints the id, the whole size, the place and the length of
// the sender's name, then the name, and the piece up to the end.
type frame struct {
	kind  frameKind
	from  string // the node that sends it
	id    uint64 // of the request that it is about: the node that asks counts them
	size  uint64 // of the whole message
	at    uint64 // where the piece begins; of gotFrame how much has come
	piece []byte // of refusedFrame why
}

type frameKind byte

const (
	requestFrame   frameKind = 'q' // a piece of a request
	answerFrame    frameKind = 'a' // a piece of the answer
	broadcastFrame frameKind = 't' // a piece of what is told to all nodes
	// Words about a message have its kind in the place of the size.
	ackFrame    frameKind = 'g' // the piece has come, and the next one may
	rejectFrame frameKind = 'r' // the message is not taken
	abortFrame  frameKind = 'd' // no more pieces come
)

// frameVersion is the first byte of each frame. Before there were frames, nodes sent JSON.
const frameVersion = 1

// maxMessage is how long a message may say that it is. More would be a mistake: the body of a request is shorter.
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

// parseFrame reads a frame, whose piece is a part of b.
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

// controlFrame makes a frame about a message of a kind, for the node that sends or takes it.
func controlFrame(kind, about frameKind, from string, id, at uint64, why string) *frame {
	return &frame{kind: kind, from: from, id: id, size: uint64(about), at: at, piece: []byte(why)}
}

// about returns which kind of message a word is about.
func (f *frame) about() frameKind { return frameKind(f.size) }
