package handlers

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// answerWhole answers a request without "stream": it waits for the stream's end, and aggregates its chunks into one
// object.
func (s *server) answerWhole(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	wake := log.NewWake()
	reader, _ := stream.Watch(log.Position{}, wake)
	defer reader.Close()
	ctx, done := s.untilEnd(r)
	defer done()
	select {
	case <-stream.Done():
	case <-ctx.Done():
		if r.Context().Err() != nil { // the client is gone
			return nil
		}
		return context.Cause(ctx)
	}
	st, items, _ := stream.Snapshot(reader) // cannot be a reset: the reader starts at the beginning
	if st.Status != hub.StatusDone {
		return &endingError{st.Ending.Error}
	}
	answer(w, http.StatusOK, mediaJSON, aggregate(stream, &st, items))
	return nil
}

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

// endingError is the failure of a stream as an error to answer with.
type endingError struct{ *hub.EndError }

func (e *endingError) Error() string { return e.Message }

// providerError returns a provider's error, returned directly or as the end of a stream.
func providerError(err error) (*hub.EndError, bool) {
	var ending *endingError
	if errors.As(err, &ending) {
		e := *ending.EndError
		if e.Status == 0 {
			e.Status = endStatus(e.Code)
		}
		return &e, true
	}
	var p *hub.ProviderError
	if errors.As(err, &p) {
		return p.Ending(), true
	}
	return nil, false
}

// endStatus is the HTTP status of a stream's failure that has no status of its own. It is never 409, because OpenAI's
// clients would repeat and pay for the request.
func endStatus(code string) int {
	switch code {
	case "cancelled", "superseded", "unwatched":
		return 499 // nginx's status for "client closed request"
	case "server_stopped":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}
