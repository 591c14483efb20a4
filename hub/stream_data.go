package hub

import (
	"strconv"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// The names that a stream's text and its end have on every wire (protocol/sse.md 5 and 6).
const (
	ChunkName = "chunk"
	EndName   = "end"
)

// StreamData appends the JSON value of one item of a stream, and returns it with the name of the event that it is:
// {"text","at"} of a chunk, the ending of an end, a structured entry as its producer gave it. The name is "" for what
// is nothing but an OpenAI matter.
func StreamData(item *log.Item, dst []byte) (name string, data []byte) {
	ev := item.Event
	switch {
	case ev == nil:
		return ChunkName, append(appendChunk(item, append(dst, '{')), '}')
	case ev.Kind == log.EndEvent:
		return EndName, append(dst, ev.Data...)
	case ev.Kind == log.OpenEvent:
		return "", nil
	case ev.Kind == log.ChunkEvent && len(item.Text) > 0:
		dst = appendChunk(item, append(dst, '{'))
		dst = append(append(dst, `,"delta":`...), ev.Data...)
		return ChunkName, append(dst, '}')
	}
	return ev.Name, append(dst, ev.Data...)
}

func appendChunk(item *log.Item, dst []byte) []byte {
	dst = append(dst, `"text":`...)
	dst = jsonw.AppendString(dst, item.Text)
	dst = append(dst, `,"at":`...)
	return strconv.AppendInt(dst, int64(item.At), 10)
}
