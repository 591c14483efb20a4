package live

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// The slots of log.Encoding, one for each format whose bytes readers share. handlers/socket uses the next two.
const (
	formatSSE log.Format = iota
	formatNDJSON
	formatOpenAI
	formatOpenAIAt                  // with positions
	formatEnvelope = formatOpenAIAt // a topic's block, without the id; no entry is in a topic and in a stream
)

// streamFeed reads one stream. The feed of each format embeds it.
type streamFeed struct {
	stream *hub.Stream
	reader *log.Reader
	first  []byte // the greeting, until it has gone out
	items  []log.Item
	format log.Format
	encode func(dst []byte, item *log.Item, position string) []byte
	// tellReset appends a reset after a part of the stream was sent: this node was cut off and lost the stream to another
	// node, whose copy is shorter. Nil: the format has no resets, and the response is aborted.
	tellReset func(dst []byte, r *log.Reset) []byte
	failed    bool // the body must not appear complete; see Pump.Run
}

// Next implements Feed. A single item is one shared piece.
func (f *streamFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	var reset *log.Reset
	f.items, reset = f.reader.Read(f.items[:0])
	if len(f.items) == 1 && f.first == nil && reset == nil {
		return dst, f.encoded(&f.items[0]), isEnd(&f.items[0])
	}
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	switch {
	case reset == nil:
	case f.tellReset == nil:
		f.failed = true
		return dst, nil, true
	default:
		dst = f.tellReset(dst, reset)
	}
	for i := range f.items {
		dst = append(dst, f.encoded(&f.items[i]).body()...)
		if isEnd(&f.items[i]) {
			return dst, nil, true
		}
	}
	return dst, nil, false
}

// greetStream encodes the greeting of a stream.
func greetStream(media string, stream *hub.Stream, reader *log.Reader, o Options, reset *log.Reset) []byte {
	hello := sse.Greeting{Position: reader.Start().String(), Recovered: reset == nil, Status: string(stream.Status())}
	return greeting(media, o, hello, reset)
}

// whole returns the result for Pump.Run.
func (f *streamFeed) whole() bool { return !f.failed }

func isEnd(item *log.Item) bool { return item.Event != nil && item.Event.Kind == log.EndEvent }

// blockRoom is enough for what a block has beside its text, in most formats.
const blockRoom = 384

func (f *streamFeed) encoded(item *log.Item) Chunk {
	if b := item.Get(f.format); b != nil {
		return b
	}
	position := log.Position{Epoch: f.reader.Epoch(), Offset: item.To}
	b := frameChunk(f.encode(make([]byte, chunkRoom, blockRoom+len(item.Text)), item, position.String()))
	if len(b) <= pumpBuffer { // a longer one is for a late reader only
		item.Put(f.format, b)
	}
	return b
}

// sseFeed is a stream as blocks of Duckwire's own (openapi.yaml: getStream, text/event-stream).
type sseFeed struct{ streamFeed }

// SSE returns the feed of a stream as an event stream. The reset is what Stream.Watch returned, or nil.
func SSE(stream *hub.Stream, reader *log.Reader, o Options, reset *log.Reset) Feed {
	return &sseFeed{streamFeed{
		stream: stream, reader: reader, first: greetStream(MediaSSE, stream, reader, o, reset),
		format: formatSSE, encode: appendStreamBlock, tellReset: appendResetBlock,
	}}
}

func appendResetBlock(dst []byte, r *log.Reset) []byte { return sse.AppendReset(dst, r, "") }

func (f *sseFeed) Heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *sseFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}

// appendStreamBlock appends one item of a stream as a block, or nothing if the format does not include the item.
func appendStreamBlock(dst []byte, item *log.Item, position string) []byte {
	name, data := hub.StreamData(item, nil)
	if name == "" {
		return dst
	}
	if sse.Reserved(name) && item.Event != nil && item.Event.Kind == log.StreamEvent {
		named := append(jsonw.AppendString([]byte(`{"event":`), name), `,"data":`...)
		name, data = "", append(append(named, data...), '}')
	}
	return sse.AppendBlock(dst, name, data, position)
}

// ndjsonFeed is a stream as lines: {"event","position", …the members of the SSE data}.
type ndjsonFeed struct{ streamFeed }

// NDJSON returns the feed of a stream as lines of JSON. The reset is what Stream.Watch returned, or nil.
func NDJSON(stream *hub.Stream, reader *log.Reader, o Options, reset *log.Reset) Feed {
	return &ndjsonFeed{streamFeed{
		stream: stream, reader: reader, first: greetStream(MediaNDJSON, stream, reader, o, reset),
		format: formatNDJSON, encode: appendStreamLine, tellReset: appendResetLine,
	}}
}

func appendResetLine(dst []byte, r *log.Reset) []byte {
	dst = append(dst, `{"event":"reset",`...)
	return append(sse.AppendResetJSON(dst, r, ""), "}\n"...)
}

func (f *ndjsonFeed) Heartbeat(dst []byte, now time.Time) []byte {
	dst = append(dst, `{"event":"hb","now":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	return append(dst, "}\n"...)
}

func (f *ndjsonFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	dst = append(dst, `{"event":"bye","reason":`...)
	dst = jsonw.AppendString(dst, reason)
	dst = append(dst, `,"retry":`...)
	dst = strconv.AppendInt(dst, retry.Milliseconds(), 10)
	return append(dst, "}\n"...)
}

// appendStreamLine appends one item as a line. The members of an object become members of the line. Any other JSON
// value, and an object that has one of the line's own members, becomes the member "data".
func appendStreamLine(dst []byte, item *log.Item, position string) []byte {
	name, data := hub.StreamData(item, nil)
	if name == "" {
		return dst
	}
	dst = append(dst, `{"event":`...)
	dst = jsonw.AppendString(dst, name)
	dst = append(dst, `,"position":"`...)
	dst = append(dst, position...)
	dst = append(dst, '"')
	if item.Event != nil && item.Event.Kind == log.StreamEvent && !spliceable(data) {
		dst = append(append(dst, `,"data":`...), data...)
	} else if len(data) > len("{}") {
		dst = append(append(dst, ','), data[1:len(data)-1]...)
	}
	return append(dst, "}\n"...)
}

// spliceable reports whether a JSON value is an object whose members can become members of a line.
func spliceable(data []byte) bool {
	var members map[string]json.RawMessage
	if data[0] != '{' || json.Unmarshal(data, &members) != nil {
		return false
	}
	for _, own := range []string{"event", "position", "data"} {
		if _, taken := members[own]; taken {
			return false
		}
	}
	return true
}

// textFeed is the text of a stream.
type textFeed struct {
	streamFeed
	skip int // number of bytes of the first item that the client already has
}

// Text returns the feed of a stream's text, without the first skip bytes of the first item.
func Text(stream *hub.Stream, reader *log.Reader, skip int) Feed {
	return &textFeed{streamFeed: streamFeed{stream: stream, reader: reader}, skip: skip}
}

func (f *textFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	var reset *log.Reset
	if f.items, reset = f.reader.Read(f.items[:0]); reset != nil {
		f.failed = true
		return dst, nil, true
	}
	for i := range f.items {
		item := &f.items[i]
		n := min(f.skip, len(item.Text))
		f.skip -= n
		dst = append(dst, item.Text[n:]...)
		if isEnd(item) {
			f.failed = f.stream.Status() != hub.StatusDone
			return dst, nil, true
		}
	}
	return dst, nil, false
}

// Heartbeat implements Feed. Plain text cannot contain heartbeats.
func (f *textFeed) Heartbeat(dst []byte, _ time.Time) []byte { return dst }

// Bye implements Feed. The response is aborted, so that no client takes the text for complete.
func (f *textFeed) Bye(dst []byte, _ string, _ time.Duration) []byte {
	f.failed = true
	return dst
}
