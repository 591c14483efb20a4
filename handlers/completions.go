package handlers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
	"github.com/duckwire/duckwire/middleware/tracing"
)

// completionPath is one of the OpenAI-compatible paths for completions.
type completionPath struct {
	kind hub.CompletionKind
	fim  bool
}

// complete returns the handler of a completion path: it starts a stream or attaches to one, and answers in OpenAI's
// format.
func (s *server) complete(d completionPath) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		req, err := s.readCompletion(r, d)
		if err != nil {
			return err
		}
		r = s.actFor(r, req.Body)
		leave, err := s.enterCompletion(r, req.Stream)
		if err != nil {
			return err
		}
		defer leave()
		stream, err := s.startCompletion(r, d, req)
		if err != nil {
			return err
		}
		setStreamHeaders(w.Header(), stream)
		switch {
		case prefersAsync(r):
			w.Header().Set("Preference-Applied", "respond-async")
			writeJSON(w, http.StatusAccepted, viewStreamNow(stream))
		case req.Stream:
			return s.streamOpenAI(w, r, stream)
		default:
			return s.answerWhole(w, r, stream)
		}
		return nil
	}
}

// enterCompletion counts a completion's user as connected before the completion starts, because it may be complete
// before the response begins. A streamed response counts as a connection from its beginning, others from now on.
func (s *server) enterCompletion(r *http.Request, streamed bool) (leave func(), err error) {
	user := auth.IdentityFrom(r.Context()).User
	switch {
	case prefersAsync(r):
		return func() {}, nil
	case streamed:
		return s.hub.EnterSession(user, hub.ViaWait), nil
	}
	return s.enter(r, hub.ViaWait)
}

func (s *server) readCompletion(r *http.Request, d completionPath) (*openai.Request, error) {
	raw, err := s.readBody(r)
	if err != nil {
		return nil, err
	}
	req, err := openai.DecodeRequest(d.kind, raw)
	if err != nil {
		return nil, err
	}
	if req.ID == "" {
		req.ID = r.Header.Get("Idempotency-Key")
		if req.ID != "" {
			if err := hub.ValidName("Idempotency-Key", req.ID); err != nil {
				return nil, err
			}
		}
	}
	req.RequestID, req.Trace = middleware.RequestIDFrom(r.Context()), tracing.Of(r.Context())
	return req, nil
}

// startCompletion checks the right to complete, and starts the stream or attaches to the one of the same id and
// request.
func (s *server) startCompletion(r *http.Request, d completionPath, req *openai.Request) (*hub.Stream, error) {
	id := auth.IdentityFrom(r.Context())
	if err := s.mayComplete(r, req.Topic); err != nil {
		return nil, err
	}
	if err := s.takeRate(r, ratelimit.Heavy, 1); err != nil {
		return nil, err
	}
	keep := hub.IdlePolicy{CancelAfter: s.KeepAfter}
	if prefersAsync(r) {
		keep = hub.IdlePolicy{} // the client disconnects on purpose, and reads the answer later
	}
	stream, _, err := s.hub.Complete(&req.CompletionRequest, ownedBy(id, req.Spec("completion", id.User, keep)),
		hub.CompletionMeta{Kind: d.kind, FIM: d.fim, IncludeUsage: req.IncludeUsage, Model: req.Model})
	return stream, err
}

// mayComplete checks the right to start completions and analyses: on the topic if there is one, else on any topic.
func (s *server) mayComplete(r *http.Request, topic string) error {
	id := auth.IdentityFrom(r.Context())
	if topic != "" {
		return s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionComplete)
	}
	return rights.AuthorizeAnywhere(r.Context(), s.Authorizer, id, rights.ActionComplete)
}

// prefersAsync reports whether a request has "Prefer: respond-async" (RFC 7240 §4.1).
func prefersAsync(r *http.Request) bool {
	for _, line := range r.Header.Values("Prefer") {
		for pref := range strings.SplitSeq(line, ",") {
			if name, _, _ := strings.Cut(pref, ";"); strings.EqualFold(strings.TrimSpace(name), "respond-async") {
				return true
			}
		}
	}
	return false
}

// streamOpenAI answers with OpenAI's chunks, from the client's position on. It waits at most CommitAfter for the
// provider to accept the request, so that a refusal can still be an HTTP status.
func (s *server) streamOpenAI(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	if stream.Completion == nil {
		return errs.Invalid("?format", "openai is for completions; this stream is of kind %q", stream.Kind)
	}
	p, err := parsePosition(resumeFrom(r), log.Position{})
	if err != nil {
		return err
	}
	if err := stream.CatchUp(p); err != nil {
		return err
	}
	if stream.AtEnd(p) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
	}
	opts.ThroughDrain = stream.EndsWithDrain() // few OpenAI clients reconnect for the rest
	pump, done, err := s.newPump(w, r, hub.ViaSSE, opts)
	if err != nil {
		return err
	}
	defer done()
	reader, reset := stream.Watch(p, pump)
	defer reader.Close()
	if reset != nil { // OpenAI's format has no block for a reset
		return errs.Invalid("Last-Event-ID", "cannot be resumed (%s); start again without it", reset.Reason)
	}
	if refusal := s.awaitProvider(r.Context(), stream); refusal != nil {
		return refusal
	}
	live.Start(w, live.MediaSSE)
	_ = http.NewResponseController(w).Flush() // an error returns at the first write
	finishPump(pump.Run(r.Context(), live.OpenAI(stream, reader)))
	return nil
}

// awaitProvider waits until the stream runs or CommitAfter has passed. If the stream failed before any output, it
// returns the failure.
func (s *server) awaitProvider(ctx context.Context, stream *hub.Stream) error {
	timer := time.NewTimer(s.CommitAfter)
	defer timer.Stop()
	select {
	case <-stream.Started():
	case <-timer.C:
	case <-ctx.Done():
	}
	return earlyFailure(stream)
}

// earlyFailure returns the error of a stream that failed before any output.
func earlyFailure(stream *hub.Stream) error {
	st := stream.State()
	if st.Ending.Error == nil || st.Account.Made > 0 || !st.Status.Ended() {
		return nil
	}
	return &endingError{st.Ending.Error}
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
		return &hub.EndError{
			Code: p.Code, Message: p.Message, Type: p.Type, Status: p.Status, Retry: p.RetryAfter, Body: p.Body,
		}, true
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

// answerWhole answers a request without "stream": it waits for the stream's end, and aggregates its chunks into one
// object.
func (s *server) answerWhole(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	wake := log.NewWake()
	reader, _ := stream.Watch(log.Position{}, wake)
	defer reader.Close()
	ended := make(chan string, 1)
	defer s.onEnd(r, func(reason string) {
		select {
		case ended <- reason:
		default: // ended already
		}
	})()
	select {
	case <-stream.Done():
	case reason := <-ended:
		return endedError(reason)
	case <-r.Context().Done():
		return nil
	}
	st, items, _ := stream.Snapshot(reader) // cannot be a reset: the reader starts at the beginning
	if st.Status != hub.StatusDone {
		return &endingError{st.Ending.Error}
	}
	answer(w, http.StatusOK, mediaJSON, aggregate(stream, &st, items))
	return nil
}

// listModels answers GET /v1/models.
func (s *server) listModels(w http.ResponseWriter, r *http.Request) error {
	models, err := s.hub.Models(r.Context())
	if err != nil {
		var p *hub.ProviderError
		if !errors.As(err, &p) {
			err = &hub.ProviderError{Status: http.StatusBadGateway, Code: "provider_error", Message: err.Error()}
		}
		return err
	}
	w.Header().Set("Content-Type", mediaJSON)
	_, _ = w.Write(openai.AppendModels(nil, models))
	return nil
}
