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
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// chunksAsked is how a client wants OpenAI's chunks.
type chunksAsked struct {
	from      log.Position
	positions bool // each block has its position as an id
	options   live.Options
	resumed   *hub.Stream // the client's own stream that from is a position of; nil: it asks from the beginning
}

// parseChunks parses the headers and parameters that say how a client wants OpenAI's chunks.
func (s *server) parseChunks(r *http.Request) (ask chunksAsked, err error) {
	if ask.from, err = resumePosition(r, log.Position{}); err != nil {
		return ask, err
	}
	if ask.options, err = s.parseLive(r.URL.Query()); err != nil {
		return ask, err
	}
	ask.positions = resumes(r)
	return ask, nil
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

// streamOpenAI answers GET /v1/streams/{id} with OpenAI's chunks, from the client's position on.
func (s *server) streamOpenAI(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	if err := checkCompletionFormat(stream); err != nil {
		return err
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

// checkCompletionFormat checks that a stream is one that OpenAI's format can express.
func checkCompletionFormat(stream *hub.Stream) error {
	if stream.Completion == nil {
		return errs.Invalid("?format", "openai is for completions; this stream is of kind %q", stream.Kind)
	}
	return nil
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
		return resumeFrom(r).refuse("cannot be resumed (%s); start again without it", reset.Reason)
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

// isBroken reports whether a write failed because the peer is gone without having closed the connection: it took no
// byte for the write timeout, or the kernel gave it up.
func isBroken(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.Is(err, syscall.EHOSTUNREACH)
}
