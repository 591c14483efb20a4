package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
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
		setStreamHeaders(w, r, stream)
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
		return ask, resumeFrom(r).refuse("cannot be resumed: no stream of yours with this request has that " +
			"position; start again without it")
	}
	return ask, err
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
