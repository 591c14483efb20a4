package handlers

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// openAIFeed is a stream as OpenAI's chunks (protocol/sse.md 7).
type openAIFeed struct {
	streamFeed
	enc openai.Encoder
}

func newOpenAIFeed(f streamFeed) *openAIFeed {
	f.format = formatOpenAI
	o := &openAIFeed{streamFeed: f, enc: openai.NewEncoder(*f.stream.Completion, f.stream.Info())}
	o.encode = o.block
	return o
}

func (f *openAIFeed) next(dst []byte) ([]byte, chunk, bool) {
	dst, piece, end := f.streamFeed.next(dst)
	if end {
		f.failed = f.failed || f.stream.Status() != hub.StatusDone
	}
	return dst, piece, end
}

// block appends one item as unnamed blocks. The end is up to three of them, which share one log entry: only the last carries its position,
// the others that of the entry before, so that a client cut among them gets them all again.
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
		return sse.AppendBlock(dst, "", openai.AppendErrorBody(nil, e.Body, e.Message, errorType(e), "", e.Code), position)
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

// finishReason is never absent from a completion that is whole: clients take its absence for a cut.
func finishReason(e *hub.Ending) string {
	if e.FinishReason == "" {
		return "stop"
	}
	return e.FinishReason
}

func (f *openAIFeed) heartbeat(dst []byte, now time.Time) []byte {
	return sse.AppendHeartbeat(dst, now)
}

// bye says nothing: this shape has no word for it. The response is aborted, so that nobody takes it for the end.
func (f *openAIFeed) bye(dst []byte, _ string, _ time.Duration) []byte {
	f.failed = true
	return dst
}

// aggregate folds a finished stream into the answer to stream:false.
func aggregate(stream *hub.Stream, st *hub.StreamState, items []log.Item) []byte {
	a := openai.NewAggregate(stream.Completion)
	at := 0
	for i := range items {
		if ev := items[i].Event; ev.Kind == log.ChunkEvent {
			a.Text(st.Text[at:items[i].At])
			a.Chunk(ev.Data)
			at = items[i].At + len(items[i].Text)
		}
	}
	a.Text(st.Text[at:])
	return a.Append(nil, &st.Info, finishReason(&st.Ending), st.Ending.Usage)
}

// errorType is OpenAI's word for the kind of a failure.
func errorType(e *hub.EndError) string {
	if e.Type != "" {
		return e.Type
	}
	return typeOfStatus(e.Status)
}

func typeOfStatus(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 400 && status < 500:
		return "invalid_request_error"
	}
	return "server_error"
}

// writeOpenAIError answers in OpenAI's shape: the problem, or what a provider said.
func writeOpenAIError(w http.ResponseWriter, p *Problem, err error) {
	e, ok := providerError(err)
	if ok {
		p.Status, p.RetryAfter = e.Status, retrySeconds(e.Retry)
	} else {
		e = &hub.EndError{Code: p.Code, Message: p.Detail, Status: p.Status}
	}
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusBadGateway
	}
	p.header(w.Header())
	answer(w, p.Status, mediaJSON, openai.AppendErrorBody(nil, e.Body, e.Message, errorType(e), p.Field, e.Code))
}
