package channels

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/duckwire/duckwire/hub/errs"
)

// The messages of Yjs clients (github.com/yjs/y-protocols, sync.js and awareness.js). Numbers are unsigned varints of
// seven bits a byte, the lowest first, as encoding/binary reads them.
const (
	yjsSync      = 0 // then one of the three below, and a buffer
	yjsAwareness = 1 // then a buffer

	yjsStep1  = 0 // the buffer is a state vector: the sender asks for what it lacks
	yjsStep2  = 1 // the buffer is an update: the answer
	yjsUpdate = 2 // the buffer is an update
)

// emptyUpdate is an update without content: no structs and no deletions.
const emptyUpdate = "\x00\x00"

// yjsMessage is a decoded message. Sync is set for yjsSync only.
type yjsMessage struct {
	kind, sync uint64
	buffer     []byte
}

var errYjs = errs.Invalid("payload", "is not a message of y-protocols: sync (0) or awareness (1)")

func readYjs(b []byte) (m yjsMessage, err error) {
	r := varints{rest: b}
	if m.kind = r.number(); m.kind == yjsSync {
		m.sync = r.number()
	}
	m.buffer = r.buffer()
	if r.bad || m.kind > yjsAwareness || m.sync > yjsUpdate {
		return m, errYjs
	}
	return m, nil
}

// appendSync appends a message of yjsSync.
func appendSync(dst []byte, sync uint64, buffer []byte) []byte {
	return appendBuffer(binary.AppendUvarint(append(dst, yjsSync), sync), buffer)
}

func appendBuffer(dst, buffer []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(buffer))), buffer...)
}

// varints reads numbers and buffers. After an error all values are zero.
type varints struct {
	rest []byte
	bad  bool
}

func (r *varints) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad = r.bad || n <= 0; r.bad {
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *varints) buffer() (b []byte) {
	n := r.number()
	if r.bad = r.bad || n > uint64(len(r.rest)); r.bad {
		return nil
	}
	b, r.rest = r.rest[:n:n], r.rest[n:]
	return b
}

// stateVector says how much of each client's changes somebody has.
type stateVector map[uint64]uint64

// readStateVector reads the buffer of yjsStep1.
func readStateVector(b []byte) (stateVector, error) {
	r := varints{rest: b}
	v := stateVector{}
	for n := r.number(); n > 0 && !r.bad; n-- {
		client := r.number()
		v[client] = r.number()
	}
	if r.bad {
		return nil, errYjs
	}
	return v, nil
}

func (v stateVector) encode() []byte {
	out := binary.AppendUvarint(nil, uint64(len(v)))
	for _, client := range slices.Sorted(maps.Keys(v)) {
		out = binary.AppendUvarint(binary.AppendUvarint(out, client), v[client])
	}
	return out
}

// add extends v to what somebody else has, too.
func (v stateVector) add(other stateVector) {
	for client, clock := range other {
		v[client] = max(v[client], clock)
	}
}

// cursor is what awareness says of one client: its state is JSON, "null" if the client has gone.
type cursor struct {
	client, clock uint64
	state         []byte
}

// readCursors reads the buffer of yjsAwareness.
func readCursors(b []byte) (list []cursor, err error) {
	r := varints{rest: b}
	for n := r.number(); n > 0 && !r.bad; n-- {
		list = append(list, cursor{client: r.number(), clock: r.number(), state: r.buffer()})
	}
	if r.bad {
		return nil, errYjs
	}
	return list, nil
}

// message returns the message that tells of one client.
func (c *cursor) message() []byte {
	one := binary.AppendUvarint(binary.AppendUvarint([]byte{1}, c.client), c.clock)
	return appendBuffer([]byte{yjsAwareness}, appendBuffer(one, c.state))
}

func (c *cursor) gone() bool { return string(c.state) == "null" }
