package handlers

import (
	"maps"
	"math"
	"net/http"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// aggregate returns the answer to a request without "stream": the upstream's own, or a finished stream folded into one.
func aggregate(stream *hub.Stream, st *hub.StreamState, items []log.Item) []byte {
	a := openai.NewAggregate(stream.Completion)
	at := 0
	for i := range items {
		switch ev := items[i].Event; {
		case ev.Kind == log.ChunkEvent && ev.Name == hub.WholeName:
			return openai.AppendAnswer(nil, ev.Data, stream.Completion)
		case ev.Kind == log.ChunkEvent:
			a.Text(st.Text[at:items[i].At])
			a.Chunk(ev.Data)
			at = items[i].At + len(items[i].Text)
		}
	}
	a.Text(st.Text[at:])
	return a.Append(nil, &st.Info, finishReason(&st.Ending), st.Ending.Usage)
}

// finishReason is never empty for a complete completion: clients take its absence for a truncated answer.
func finishReason(e *hub.Ending) string {
	if e.FinishReason == "" {
		return "stop"
	}
	return e.FinishReason
}

// writeOpenAIError answers in OpenAI's error format: with the problem, or with a provider's error.
func writeOpenAIError(w http.ResponseWriter, p *Problem, err error) {
	e, ok := providerError(err)
	if ok {
		p.Status, p.RetryAfter = e.Status, int(math.Ceil(e.Retry.Seconds())) // the upstream's own value
	} else {
		e = &hub.EndError{Code: p.Code, Message: p.Detail, Status: p.Status, Param: p.Field}
	}
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusBadGateway
	}
	p.header(w.Header())
	maps.Copy(w.Header(), e.Header)
	answer(w, p.Status, mediaJSON, openai.AppendErrorBody(nil, e.Body, e.Message, openai.ErrorType(e), e.Param, e.Code))
}
