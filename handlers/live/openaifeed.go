package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// openAIFeed is a completion as OpenAI's chunks (openapi.yaml: CompletionBlock).
type openAIFeed struct {
	streamFeed
	enc openai.Encoder
}

// OpenAI returns the feed of a completion in OpenAI's chunks.
func OpenAI(stream *hub.Stream, reader *log.Reader) Feed {
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

// block appends one item as blocks without names. The end may be up to three blocks of one log entry: the last one has
// the position of that entry, the others have that of the previous entry, so that a client that is cut between them
// receives all of them again.
func (f *openAIFeed) block(dst []byte, item *log.Item, position string) []byte {
	var data []byte
	switch ev := item.Event; {
	case ev == nil:
		data = f.enc.AppendText(nil, item.Text)
	case ev.Kind == log.OpenEvent:
		if data = f.enc.AppendRole(nil); data == nil {
			return dst
		}
	case ev.Kind == log.EndEvent:
		return f.end(dst, item, position)
	default:
		data = f.enc.AppendChunk(nil, ev.Data)
	}
	return sse.AppendBlock(dst, "", data, position)
}

func (f *openAIFeed) end(dst []byte, item *log.Item, position string) []byte {
	ending := f.stream.State().Ending
	if ending.Status != hub.StatusDone {
		e := ending.Error
		body := openai.AppendErrorBody(nil, e.Body, e.Message, openai.ErrorType(e), "", e.Code)
		return sse.AppendBlock(dst, "", body, position)
	}
	before := log.Position{Epoch: f.reader.Epoch(), Offset: item.To - 1}.String()
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

// Bye implements Feed. OpenAI's format has no such block, so the response is aborted, and no client takes it for the
// end.
func (f *openAIFeed) Bye(dst []byte, _ string, _ time.Duration) []byte {
	f.failed = true
	return dst
}
