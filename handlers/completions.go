package handlers

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"os"
	"strings"
	"syscall"
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

// completionRequest is a completion as one client asks for it.
type completionRequest struct {
	*openai.Request
	async bool // the client reads the answer later (Prefer: respond-async)
}

// complete returns the handler of a completion path: it starts a stream or attaches to one, and answers in OpenAI's
// format. Nothing is started before everything that the client sent was checked.
func (s *server) complete(d completionPath) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		req, err := s.readCompletion(r, d)
		if err != nil {
			return err
		}
		r = s.actFor(r, req.Body)
		ask, err := s.checkCompletion(r, req)
		if err != nil {
			return err
		}
		leave, err := s.enterCompletion(r, req)
		if err != nil {
			return err
		}
		defer leave()
		stream, err := s.startCompletion(r, req, ask)
		if err != nil {
			return err
		}
		setStreamHeaders(w.Header(), stream)
		switch {
		case req.async:
			w.Header().Set("Preference-Applied", "respond-async")
			writeJSON(w, http.StatusAccepted, viewStreamNow(stream))
		case req.Stream:
			return s.streamChunks(w, r, stream, ask)
		default:
			return s.answerWhole(w, r, stream)
		}
		return nil
	}
}

// enterCompletion counts a completion's client as connected before the completion starts, because it may be complete
// before the response begins. Errors: *errs.LimitError at a limit of connections.
func (s *server) enterCompletion(r *http.Request, req *completionRequest) (leave func(), err error) {
	if req.async {
		return func() {}, nil
	}
	via := hub.ViaWait
	if req.Stream {
		via = hub.ViaSSE
	}
	return s.enter(r, via)
}

func (s *server) readCompletion(r *http.Request, d completionPath) (*completionRequest, error) {
	raw, err := s.readBody(r)
	if err != nil {
		return nil, err
	}
	decoded, err := openai.DecodeRequest(d.kind, raw)
	if err != nil {
		return nil, err
	}
	req := &completionRequest{Request: decoded, async: prefersAsync(r)}
	if req.ID == "" {
		if req.ID, err = idempotencyKey(r); err != nil {
			return nil, err
		}
	}
	if err := setKeep(r, req.Request); err != nil {
		return nil, err
	}
	req.FIM = d.fim
	req.Whole = !req.Stream && !req.Extended && !req.async // nobody else knows of the stream
	req.RequestID, req.Trace = middleware.RequestIDFrom(r.Context()), tracing.Of(r.Context())
	return req, nil
}

// setKeep sets what happens to the stream without watchers to what the header says, unless the body says it.
func setKeep(r *http.Request, req *openai.Request) error {
	text := r.Header.Get(openai.HeaderKeep)
	if text == "" || req.Keep != nil {
		return nil
	}
	keep, err := openai.ParseKeep(text)
	req.Keep = &keep
	return err
}

// maxIdempotencyKey is the maximum length of the header Idempotency-Key.
const maxIdempotencyKey = 255

// idempotencyKey returns the stream's id that the header Idempotency-Key asks for. In the header's specification its
// value is in quotation marks, which most clients leave out. A key that is not a name is replaced by its hash.
func idempotencyKey(r *http.Request) (string, error) {
	key := strings.TrimSpace(r.Header.Get("Idempotency-Key"))
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	switch {
	case key == "" && r.Header.Get("Idempotency-Key") != "":
		return "", errs.Invalid("Idempotency-Key", "is empty")
	case len(key) > maxIdempotencyKey:
		return "", errs.Invalid("Idempotency-Key", "has %d bytes; at most %d are allowed", len(key), maxIdempotencyKey)
	case key != "" && hub.ValidName("Idempotency-Key", key) != nil:
		return "key-" + digest(key), nil
	}
	return key, nil
}

// chunksAsked is how a client wants OpenAI's chunks.
type chunksAsked struct {
	from      log.Position
	positions bool // each block has its position as an id
	options   live.Options
	resumed   *hub.Stream // the client's own stream that from is a position of; nil: it asks from the beginning
}

// checkCompletion checks the right to complete, and how the client wants the answer. It counts the request against the
// rate limit.
func (s *server) checkCompletion(r *http.Request, req *completionRequest) (ask chunksAsked, err error) {
	if err := s.mayComplete(r, req.Topic); err != nil {
		return ask, err
	}
	if ask, err = s.parseChunks(r); err != nil {
		return ask, err
	}
	ask.positions = ask.positions || req.Extended
	if !req.Stream || req.async { // no chunks are sent
		ask = chunksAsked{}
	}
	if err := s.takeRate(r, ratelimit.Heavy, 1); err != nil {
		return ask, err
	}
	if ask.from.Epoch == "" {
		return ask, nil
	}
	ask.resumed, err = s.hub.ResumedCompletion(s.specOf(r, req), ask.from)
	if errors.Is(err, errs.ErrNotFound) {
		return ask, errs.Invalid("Last-Event-ID", "cannot be resumed: no stream of yours with this request has that "+
			"position; start again without it")
	}
	return ask, err
}

// parseChunks parses the headers and parameters that say how a client wants OpenAI's chunks.
func (s *server) parseChunks(r *http.Request) (ask chunksAsked, err error) {
	if ask.from, err = parsePosition(resumeFrom(r), log.Position{}); err != nil {
		return ask, err
	}
	if ask.options, err = s.parseLive(r.URL.Query()); err != nil {
		return ask, err
	}
	ask.positions = resumes(r)
	return ask, nil
}

// resumes reports whether a client shows that it resumes streams.
func resumes(r *http.Request) bool {
	return len(r.Header.Values("Last-Event-ID")) > 0 || r.URL.Query().Has("after") || acceptsPositions(r)
}

// acceptsPositions reports whether a request has "Accept: text/event-stream; positions=1".
func acceptsPositions(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(line, ",") {
			media, params, err := mime.ParseMediaType(item)
			if err == nil && media == live.MediaSSE && params["positions"] == "1" {
				return true
			}
		}
	}
	return false
}

// keepOf returns what happens to the request's stream without watchers, if the request does not say it. Editors ask for
// completions at each key and leave them, so that these end at once; who leaves a chat may come back.
func (s *server) keepOf(r *http.Request, req *completionRequest) hub.IdlePolicy {
	switch {
	case req.async:
		return hub.IdlePolicy{} // the client disconnects on purpose, and reads the answer later
	case req.Kind == hub.ChatCompletion:
		return hub.IdlePolicy{CancelAfter: max(s.KeepChat, 1), FinishIfCut: true}
	case req.Extended || req.ID != "" || resumes(r): // who names a stream, or follows its positions, comes back to it
		return hub.IdlePolicy{CancelAfter: max(s.KeepChat, 1)}
	}
	return hub.IdlePolicy{CancelAfter: max(s.KeepCompletions, 1)}
}

// specOf returns the spec of the request's stream.
func (s *server) specOf(r *http.Request, req *completionRequest) hub.StreamSpec {
	return req.Spec("completion", auth.IdentityFrom(r.Context()), s.keepOf(r, req))
}

// startCompletion starts the stream, or attaches to the one of the same id and request.
func (s *server) startCompletion(r *http.Request, req *completionRequest, ask chunksAsked) (*hub.Stream, error) {
	if ask.resumed != nil {
		return ask.resumed, nil
	}
	stream, _, err := s.hub.Complete(&req.CompletionRequest, s.specOf(r, req),
		hub.CompletionMeta{Kind: req.Kind, FIM: req.FIM, IncludeUsage: req.IncludeUsage, Model: req.Model})
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

// streamOpenAI answers GET /v1/streams/{id} with OpenAI's chunks, from the client's position on.
func (s *server) streamOpenAI(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	if stream.Completion == nil {
		return errs.Invalid("?format", "openai is for completions; this stream is of kind %q", stream.Kind)
	}
	ask, err := s.parseChunks(r)
	if err != nil {
		return err
	}
	ask.positions = true
	leave, err := s.enter(r, hub.ViaSSE)
	if err != nil {
		return err
	}
	defer leave()
	return s.streamChunks(w, r, stream, ask)
}

// streamChunks answers with OpenAI's chunks. It waits at most CommitAfter for the provider to accept the request, so
// that a refusal can still be an HTTP status. The client has been counted as connected.
func (s *server) streamChunks(w http.ResponseWriter, r *http.Request, stream *hub.Stream, ask chunksAsked) error {
	if err := stream.CatchUp(ask.from); err != nil {
		return err
	}
	if stream.AtEnd(ask.from) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	ask.options.ThroughDrain = stream.EndsWithDrain() // few OpenAI clients reconnect for the rest
	pump, done := s.pumpOf(w, r, hub.ViaSSE, ask.options)
	defer done()
	reader, reset := stream.Watch(ask.from, pump)
	defer reader.Close()
	if reset != nil { // OpenAI's format has no block for a reset
		return errs.Invalid("Last-Event-ID", "cannot be resumed (%s); start again without it", reset.Reason)
	}
	if refusal := s.awaitProvider(r.Context(), stream); refusal != nil {
		return refusal
	}
	live.Start(w, live.MediaSSE)
	_ = http.NewResponseController(w).Flush() // an error returns at the first write
	err := pump.Run(r.Context(), live.OpenAI(stream, reader, ask.positions))
	if isBroken(err) {
		stream.Cut()
	}
	finishPump(err)
	return nil
}

// isBroken reports whether a write failed because the peer is gone without having closed the connection: it took no
// byte for the write timeout, or the kernel gave it up.
func isBroken(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.Is(err, syscall.EHOSTUNREACH)
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
