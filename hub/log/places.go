package log

import (
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
)

// MaxPlaces is the maximum number of streams in Places.
const MaxPlaces = 100

// Places says how far a client has got in a topic, and in each stream that it follows there. Its text is opaque to
// clients, and takes the place of the topic's position.
type Places struct {
	Topic   Position
	Streams []Place
}

// Place says how far a client has got in one stream.
type Place struct {
	Stream string   // its id
	At     Position // the client has everything up to here
	Sent   int      // and so many of the events that the next entry was sent as
}

// Append appends the text: the topic's position, which must have an epoch; and if there are streams, "~" and in
// base64url for each one uvarint(length of its id), the id, the position as in a Vector whose first has the topic's
// BOOT, and uvarint(Sent).
func (ps *Places) Append(dst []byte) []byte {
	dst = ps.Topic.Append(dst)
	if len(ps.Streams) == 0 {
		return dst
	}
	boot, _ := splitEpoch(ps.Topic.Epoch)
	raw := make([]byte, 0, 64*len(ps.Streams))
	for i := range ps.Streams {
		p := &ps.Streams[i]
		raw = binary.AppendUvarint(raw, uint64(len(p.Stream)))
		raw = append(raw, p.Stream...)
		raw = appendElement(raw, p.At, boot)
		raw = binary.AppendUvarint(raw, uint64(p.Sent))
	}
	return base64.RawURLEncoding.AppendEncode(append(dst, '~'), raw)
}

// maxPlacesText is the longest text that ParsePlaces reads, in bytes.
const maxPlacesText = MaxPosition + MaxPlaces*256

// ParsePlaces parses the text of places from a client, or of a position in the topic alone.
func ParsePlaces(s string) (ps Places, err error) {
	topic, text, more := strings.Cut(s, "~")
	if ps.Topic, err = ParsePosition(topic); err != nil || !more {
		return ps, err
	}
	if len(s) > maxPlacesText || ps.Topic.Epoch == "" {
		return Places{}, errPosition
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Places{}, errPosition
	}
	boot, _ := splitEpoch(ps.Topic.Epoch)
	for len(raw) > 0 && len(ps.Streams) < MaxPlaces {
		var p Place
		var ok bool
		if p, raw, ok = parsePlace(raw, boot); !ok {
			return Places{}, errPosition
		}
		ps.Streams = append(ps.Streams, p)
	}
	if len(raw) > 0 {
		return Places{}, errs.Invalid("position", "is of more than %d streams", MaxPlaces)
	}
	return ps, nil
}

// parsePlace parses the first place of a decoded text, and returns the rest.
func parsePlace(raw []byte, boot string) (p Place, rest []byte, ok bool) {
	n, k := binary.Uvarint(raw)
	if k <= 0 || n == 0 || n > uint64(len(raw)-k) {
		return p, nil, false
	}
	p.Stream, raw = string(raw[k:k+int(n)]), raw[k+int(n):]
	if p.At, raw, ok = parseElement(raw, boot); !ok {
		return p, nil, false
	}
	sent, k := binary.Uvarint(raw)
	if k <= 0 || sent > 1<<16 {
		return p, nil, false
	}
	p.Sent = int(sent)
	return p, raw[k:], true
}

// Find returns the place in a stream, or nil.
func (ps *Places) Find(stream string) *Place {
	for i := range ps.Streams {
		if ps.Streams[i].Stream == stream {
			return &ps.Streams[i]
		}
	}
	return nil
}

// Remove removes the place in a stream, if there is one.
func (ps *Places) Remove(stream string) {
	for i := range ps.Streams {
		if ps.Streams[i].Stream == stream {
			ps.Streams = append(ps.Streams[:i], ps.Streams[i+1:]...)
			return
		}
	}
}
