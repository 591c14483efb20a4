package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// openAIFeed is a completion as OpenAI's chunks (openapi.yaml: CompletionBlock).
type openAIFeed struct {
	streamFeed
	enc  *openai.Encoder // made with the first chunk, because only then the upstream has told the members of all
	data []byte          // the last block's data, for its memory
}

// maxDataKept bounds, in bytes, what a response keeps of a block's memory: much more than a token's.
const maxDataKept = 4 << 10

// OpenAI returns the feed of a completion in OpenAI's chunks. With positions, each block has one as its id; some clients
// take such a line for a part of the data.
func OpenAI(stream *hub.Stream, reader *log.Reader, positions bool) Feed {
	o := &openAIFeed{streamFeed: streamFeed{stream: stream, reader: reader, format: formatOpenAI}}
	if positions {
		o.format = formatOpenAIAt
	}
	o.encode = o.block
	return o
}

func (f *openAIFeed) encoder() *openai.Encoder {
	if f.enc == nil {
		enc := openai.NewEncoder(*f.stream.Completion, f.stream.Info())
		f.enc = &enc
	}
	return f.enc
}

func (f *openAIFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	dst, piece, end := f.streamFeed.Next(dst)
	if end {
		f.failed = f.failed || f.stream.Status() != hub.StatusDone
	}
	return dst, piece, end
}

// block appends one item as blocks without names. The end may be several blocks of one log entry: the last one has
// the position of that entry, the others have that of the previous entry, so that a client that is cut between them
// receives all of them again.
func (f *openAIFeed) block(dst []byte, item *log.Item, position string) []byte {
	data := f.data[:0]
	switch ev := item.Event; {
	case ev == nil:
		data = f.encoder().AppendText(data, item.Text)
	case ev.Kind == log.AskedEvent:
		return dst
	case ev.Name == hub.FinishName && ev.Kind == log.OpenEvent:
		reason, _ := jsonw.String(ev.Data)
		data = f.encoder().AppendFinish(data, reason)
	case ev.Kind == log.OpenEvent:
		if data = f.encoder().AppendRole(data); len(data) == 0 {
			return dst
		}
	case ev.Kind == log.EndEvent:
		return f.end(dst, item, position)
	case ev.Name == hub.WholeName:
		data = f.encoder().AppendWhole(data, ev.Data)
	default:
		data = f.encoder().AppendChunk(data, ev.Data)
	}
	if cap(data) <= maxDataKept {
		f.data = data
	}
	return f.append(dst, data, position)
}

// append appends one block.
func (f *openAIFeed) append(dst, data []byte, position string) []byte {
	if f.format != formatOpenAIAt {
		position = ""
	}
	return sse.AppendBlock(dst, "", data, position)
}

func (f *openAIFeed) end(dst []byte, item *log.Item, position string) []byte {
	ending := f.stream.State().Ending
	if ending.Status != hub.StatusDone {
		e := ending.Error
		body := openai.AppendErrorBody(nil, e.Body, e.Message, openai.ErrorType(e), e.Param, e.Code)
		return f.append(dst, body, position)
	}
	before := log.Position{Epoch: f.reader.Epoch(), Offset: item.To - 1}.String()
	if !ending.FinishSent && !ending.FinishTold {
		dst = f.append(dst, f.encoder().AppendFinish(nil, ending.FinishReason), before)
	}
	if usage := f.encoder().AppendUsage(nil, ending.Usage); usage != nil && !ending.UsageSent {
		dst = f.append(dst, usage, before)
	}
	return f.append(dst, []byte(openai.Done), position)
}

func (f *openAIFeed) Heartbeat(dst []byte, now time.Time) []byte {
	return sse.AppendHeartbeat(dst, now)
}

// Bye implements Feed. OpenAI's format has no such block, so the response is aborted, and no client takes it for the
// end.
func (f *openAIFeed) Bye(dst []byte, _ string, _ time.Duration) []byte {
	f.failed = true
	return dst
}
