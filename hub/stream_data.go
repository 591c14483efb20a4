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

// The names of what an upstream sent besides text: a chunk, or an answer that it did not stream. They are also the names
// of the members of a chunk's data that have it.
const (
	DeltaName = "delta"
	WholeName = "answer"
)

// The names of what only OpenAI's formats show (log.OpenEvent): the opening of a chat, and the finish reason of the
// first choice, a JSON string.
const (
	OpenName   = "open"
	FinishName = "finish"
)

// AskedName is the name of the entry that Stream.Asked returns (log.AskedEvent).
const AskedName = "asked"

// StreamData appends the JSON data of one item of a stream to dst, and returns it with the name of its event: {"text",
// "at"} for a chunk, with what the upstream sent if that was more than text, the ending for an end, and a structured
// entry as its producer sent it. The name is "" for an item that this format does not show.
func StreamData(item *log.Item, dst []byte) (name string, data []byte) {
	ev := item.Event
	switch {
	case ev == nil:
		return ChunkName, append(appendChunk(item, append(dst, '{')), '}')
	case ev.Kind == log.EndEvent:
		return EndName, append(dst, ev.Data...)
	case ev.Kind == log.OpenEvent || ev.Kind == log.AskedEvent:
		return "", nil
	case ev.Kind == log.ChunkEvent && len(item.Text) > 0:
		dst = appendChunk(item, append(dst, '{'))
		dst = append(jsonw.AppendKey(dst, ev.Name), ev.Data...)
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
