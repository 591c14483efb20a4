package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
)

// openAIFeed is a stream as OpenAI's chunks (protocol/sse.md 7).
type openAIFeed struct {
	streamFeed
	enc openai.Encoder
}

func OpenAI(stream *hub.Stream, reader *hub.Reader) *openAIFeed {
	o := &openAIFeed{
		streamFeed: streamFeed{stream: stream, reader: reader, format: formatOpenAI},
		enc:        openai.NewEncoder(*stream.Completion, stream.Info()),
	}
	o.encode = o.block
	return o
}

func (f *openAIFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	dst, piece, end := f.streamFeed.Next(dst)
	if end {
		f.failed = f.failed || f.stream.Status() != hub.StatusDone
	}
	return dst, piece, end
}

// block appends one item as unnamed blocks. The end is up to three of them, which share one log entry: only the last carries its position,
// the others that of the entry before, so that a client cut among them gets them all again.
func (f *openAIFeed) block(dst []byte, item *hub.Item, position string) []byte {
	var data []byte
	switch ev := item.Event; {
	case ev == nil:
		data = f.enc.AppendText(nil, item.Text)
	case ev.Kind == hub.OpenEvent:
		if data = f.enc.AppendRole(nil); data == nil {
			return dst
		}
	case ev.Kind == hub.EndEvent:
		return f.end(dst, item, position)
	default:
		data = f.enc.AppendChunk(nil, ev.Data)
	}
	return sse.AppendBlock(dst, "", data, position)
}

func (f *openAIFeed) end(dst []byte, item *hub.Item, position string) []byte {
	ending := f.stream.State().Ending
	if ending.Status != hub.StatusDone {
		e := ending.Error
		return sse.AppendBlock(dst, "", openai.AppendErrorBody(nil, e.Body, e.Message, openai.ErrorType(e), "", e.Code), position)
	}
	before := hub.Position{Epoch: f.reader.Epoch(), Offset: item.To - 1}.String()
	if !ending.FinishSent {
		dst = sse.AppendBlock(dst, "", f.enc.AppendFinish(nil, ending.FinishReason), before)
	}
	if usage := f.enc.AppendUsage(nil, ending.Usage); usage != nil {
		dst = sse.AppendBlock(dst, "", usage, before)
	}
	return sse.AppendBlock(dst, "", []byte(openai.Done), position)
}

func (f *openAIFeed) Heartbeat(dst []byte, now time.Time) []byte {
	return sse.AppendHeartbeat(dst, now)
}

// Bye says nothing: this shape has no word for it. The response is aborted, so that nobody takes it for the end.
func (f *openAIFeed) Bye(dst []byte, _ string, _ time.Duration) []byte {
	f.failed = true
	return dst
}
