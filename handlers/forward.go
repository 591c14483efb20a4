package handlers

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// DefaultUpstreamPaths are the paths below /v1 that go to the upstream by default. All take POST.
var DefaultUpstreamPaths = []string{
	"embeddings", "moderations", "rerank", "images/generations", "audio/speech", "audio/transcriptions",
	"audio/translations",
}

// routeForwards adds the paths that go to the upstream. Those that are not among the default ones take every method.
func (s *server) routeForwards(r chi.Router) {
	for _, path := range s.UpstreamPaths {
		h := s.handle(s.forward(path))
		if slices.Contains(DefaultUpstreamPaths, path) {
			r.Post("/v1/"+path, h)
		} else {
			r.Handle("/v1/"+path, h)
		}
	}
}

// forward returns the handler of a path that goes to the upstream: request and answer pass as they are, but for
// credentials, cookies, and what concerns one connection only.
func (s *server) forward(path string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		req, err := s.readForward(r, path)
		if err != nil {
			return err
		}
		leave, err := s.enter(r, hub.ViaWait)
		if err != nil {
			return err
		}
		defer leave()
		ctx, done := s.untilEnd(r)
		defer done()
		ctx, cancel := context.WithTimeoutCause(ctx, s.UpstreamAnswerTimeout, errAnswerTimeout)
		defer cancel()
		resp, err := s.hub.Forward(ctx, req)
		if err != nil {
			return forwardError(ctx, err)
		}
		defer resp.Body.Close()
		s.passOn(w, resp)
		return nil
	}
}

// readForward checks the right to complete, and reads the request.
func (s *server) readForward(r *http.Request, path string) (*hub.ForwardRequest, error) {
	if err := s.mayComplete(r, ""); err != nil {
		return nil, err
	}
	body, err := s.readBytes(r)
	if err != nil {
		return nil, err
	}
	if err := s.takeRate(r, ratelimit.Heavy, 1); err != nil {
		return nil, err
	}
	media := r.Header.Get("Content-Type")
	return &hub.ForwardRequest{
		Method: r.Method, Path: path, Query: r.URL.RawQuery, // without credentials: auth.Authenticate has removed them
		ContentType: media, Accept: r.Header.Get("Accept"), Body: body, Model: openai.ModelOf(media, body),
		RequestID: middleware.RequestIDFrom(r.Context()),
	}, nil
}

var errAnswerTimeout = errors.New("the upstream's answer took too long")

// forwardError returns the error for the client, or nil if the client is gone. If the request was ended here, that is
// the cause of any other error.
func forwardError(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled):
		return nil
	case errors.Is(cause, errAnswerTimeout):
		return &hub.ProviderError{
			Status: http.StatusGatewayTimeout, Code: "upstream_timeout", Type: "server_error",
			Message: "the upstream did not answer in time (upstream_answer_timeout)",
		}
	default:
		return cause
	}
}

// passOn sends an upstream's answer as it arrives. If it breaks off, the client's does, too.
func (s *server) passOn(w http.ResponseWriter, resp *hub.ForwardResponse) {
	maps.Copy(w.Header(), resp.Header)
	w.Header().Set("Content-Security-Policy", "sandbox") // a page of the upstream's must not act as one of this server's
	if resp.Length >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(resp.Length, 10))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(resp.Status)
	control := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(s.WriteTimeout)) // unsupported by test recorders only
			if _, err := w.Write(buf[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			_ = control.Flush() // an error returns at the next write
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}
