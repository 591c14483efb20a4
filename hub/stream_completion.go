package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// Complete starts a completion as a new stream, or returns the one that the same owner started under the same id with
// the same request (attached is true). The stream runs until its provider ends, it is cancelled, or the hub closes;
// nobody needs to wait for it.
//
// Errors: ErrUnavailable without a provider, ErrClosed while draining, ErrConflict for an id that is in use for
// something else, *LimitError, *FieldError.
func (h *Hub) Complete(
	req *CompletionRequest, spec StreamSpec, meta CompletionMeta,
) (s *Stream, attached bool, err error) {
	if h.provider == nil {
		return nil, false, fmt.Errorf("no provider of completions is configured: %w", errs.ErrUnavailable)
	}
	spec.requestID = req.RequestID
	s, old, err := h.newStream(&spec, &meta)
	if err != nil || old {
		return s, old, err
	}
	if req.RequestID == "" { // a socket's request has none: the upstream's log then has the stream's id instead
		named := *req
		named.RequestID = s.ID
		req = &named
	}
	ctx, ok := s.providerContext()
	if !ok {
		return s, false, nil
	}
	s.announce()
	h.background.Go(func() {
		defer s.stop(nil)
		s.runProvider(ctx, req)
	})
	return s, false, nil
}

// providerContext returns the context for the stream's provider, which ends when the stream or the hub ends. ok is
// false if the stream has ended already.
func (s *Stream) providerContext() (ctx context.Context, ok bool) {
	ctx, stop := context.WithCancelCause(s.hub.ctx)
	s.log.Lock()
	s.stop = stop
	ended := s.status.Ended()
	s.armFirstIdleCancel()
	s.log.Unlock()
	if ended { // cancelled or superseded since its registration
		stop(errStreamEnded)
	}
	return ctx, !ended
}

// Models lists the provider's models.
func (h *Hub) Models(ctx context.Context) ([]Model, error) {
	if h.provider == nil {
		return nil, nil
	}
	models, err := h.provider.Models(ctx)
	if err != nil && ctx.Err() == nil {
		h.counts.providerError(err)
	}
	return models, err
}

// runProvider has the provider write the stream, and ends the stream accordingly.
func (s *Stream) runProvider(ctx context.Context, req *CompletionRequest) {
	h := s.hub
	w := &completionWriter{stream: s, chat: req.Kind == ChatCompletion}
	err := recoverPanic(h.logger, "completion", func() error { return h.provider.Complete(ctx, req, w) })
	switch {
	case err == nil:
		s.endLocal(StatusDone, w.ending)
	case errors.Is(err, errs.ErrTooLarge): // like a model's own length limit: the text so far is a valid answer
		h.CountLimit(err)
		w.ending.FinishReason, w.ending.FinishSent, w.ending.FinishTold = "length", false, false
		s.endLocal(StatusDone, w.ending)
	case ctx.Err() != nil: // the stream has its ending already, unless it is the hub that closes
		s.endLocal(StatusInterrupted, errServerStopped)
	default:
		h.counts.providerError(err)
		s.endLocal(StatusFailed, Ending{Error: endError(err), Usage: w.ending.Usage, by: "provider"})
	}
}

// recoverPanic calls a provider, and turns its panic into an error.
func recoverPanic(logger *slog.Logger, what string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logger.Error("provider panicked", "panic", p, "stack", string(debug.Stack()))
			err = &ProviderError{
				Status: 500, Code: "internal", Type: "server_error",
				Message: "the " + what + " failed on this server; its log tells why",
			}
		}
	}()
	return call()
}

func endError(err error) *EndError {
	var p *ProviderError
	if errors.As(err, &p) {
		return p.Ending()
	}
	return &EndError{Code: "provider_error", Message: err.Error(), Type: "server_error"}
}

// completionWriter is the CompletionWriter of one stream.
type completionWriter struct {
	stream *Stream
	chat   bool
	opened bool
	reason string // the finish reason that readers have
	ending Ending
}

func (w *completionWriter) Accepted() { w.stream.start() }

func (w *completionWriter) Describe(info CompletionInfo) {
	w.stream.log.Lock()
	defer w.stream.log.Unlock()
	if w.stream.info == (CompletionInfo{}) {
		w.stream.info = info
	}
}

func (w *completionWriter) Text(text string) error {
	if !utf8.ValidString(text) {
		return errNotUTF8
	}
	if err := w.open(); err != nil {
		return err
	}
	return w.stream.addText(text)
}

func (w *completionWriter) Chunk(raw json.RawMessage, text string) error {
	data, err := compactJSON(raw)
	if err != nil {
		return err
	}
	w.opened = w.opened || w.chat && hasRole(data)
	if err := w.open(); err != nil {
		return err
	}
	return w.stream.addEvent(&log.Event{Kind: log.ChunkEvent, Name: DeltaName, Data: data, Text: text})
}

func (w *completionWriter) Whole(raw json.RawMessage, text string) error {
	data, err := compactJSON(raw)
	if err != nil {
		return err
	}
	w.opened = true // it has the role
	err = w.stream.addEvent(&log.Event{Kind: log.ChunkEvent, Name: WholeName, Data: data, Text: text})
	if errors.Is(err, errs.ErrTooLarge) { // no part of it would be valid
		return &ProviderError{Status: 502, Code: "answer_too_large", Type: "server_error", Message: err.Error()}
	}
	return err
}

// hasRole reports whether a chunk tells the role of the first choice, as OpenAI's first chunk does.
func hasRole(chunk []byte) bool {
	for choice := range jsonw.Elements(jsonw.Member(chunk, "choices")) {
		index := jsonw.Member(choice, "index")
		role := jsonw.Member(jsonw.Member(choice, "delta"), "role")
		if (jsonw.IsNull(index) || string(index) == "0") && !jsonw.IsNull(role) {
			return true
		}
	}
	return false
}

// open appends the entry that becomes OpenAI's first chunk, which has the role. It is an entry like any other, so that
// a reader that resumes gets it exactly once.
func (w *completionWriter) open() error {
	if w.opened || !w.chat {
		return nil
	}
	w.opened = true
	return w.stream.addEvent(&log.Event{Kind: log.OpenEvent, Name: OpenName})
}

func (w *completionWriter) Finish(f Finish) {
	_ = w.open() // an empty answer has a role too; an error means that the stream has ended
	if f.Reason != "" && !f.ReasonSent && f.Reason != w.reason {
		data := jsonw.AppendString(nil, f.Reason)
		if w.stream.addEvent(&log.Event{Kind: log.OpenEvent, Name: FinishName, Data: data}) == nil {
			w.reason = f.Reason
		}
	}
	w.ending.FinishReason, w.ending.FinishSent = f.Reason, f.ReasonSent
	w.ending.FinishTold = w.reason != "" && w.reason == f.Reason
	w.ending.UsageSent = f.UsageSent
	if len(f.Usage) > 0 {
		w.ending.Usage = f.Usage
	}
}
