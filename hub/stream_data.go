package hub

import (
	"strconv"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// The names of the events for a stream's text and its end, in every format: schemas Chunk and End in openapi.yaml.
const (
	ChunkName = "chunk"
	EndName   = "end"
)

// StreamData appends the JSON data of one item of a stream to dst, and returns it with the name of its event: {"text",
// "at"} for a chunk, the ending for an end, and a structured entry as its producer sent it. The name is "" for an item
// that only OpenAI's formats show.
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
