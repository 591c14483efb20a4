package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Complete starts a completion as a stream of its own, or returns the one that the same owner started under the same id
// with the same request (attached is true). The stream runs until its provider ends, it is cancelled, or the hub
// closes; nobody needs to wait for it.
//
// Errors: ErrUnavailable without a provider, ErrClosed while draining, ErrConflict for an id that is in use for
// something else, *LimitError, *FieldError.
func (h *Hub) Complete(req *CompletionRequest, spec StreamSpec, meta CompletionMeta) (s *Stream, attached bool, err error) {
	if h.provider == nil {
		return nil, false, fmt.Errorf("no provider of completions is configured: %w", errs.ErrUnavailable)
	}
	spec.requestID = req.RequestID
	s, old, err := h.newStream(&spec, &meta)
	if err != nil || old {
		return s, old, err
	}
	if req.RequestID == "" { // it came through a socket: by the stream's id it is found in the upstream's log, too
		named := *req
		named.RequestID = s.ID
		req = &named
	}
	ctx, ok := h.providerContext(s)
	if !ok {
		return s, false, nil
	}
	h.announce(s)
	h.background.Go(func() {
		defer s.stop(nil)
		h.runProvider(ctx, s, req)
	})
	return s, false, nil
}

// providerContext returns the context that a stream's provider works in. ok is false where the stream has ended already.
func (h *Hub) providerContext(s *Stream) (ctx context.Context, ok bool) {
	ctx, stop := context.WithCancelCause(h.ctx)
	s.log.Lock()
	s.stop = stop
	ended := s.status.Ended()
	s.armIdleCancel(max(s.Idle.CancelAfter, firstWatcher))
	s.log.Unlock()
	if ended { // cancelled or superseded between its registration and here
		stop(errStreamEnded)
	}
	return ctx, !ended
}

// Models lists what the provider offers.
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

// runProvider runs the provider and turns its result into the stream's ending.
func (h *Hub) runProvider(ctx context.Context, s *Stream, req *CompletionRequest) {
	w := &completionWriter{stream: s, chat: req.Kind == ChatCompletion}
	err := h.recoverPanic("completion", func() error { return h.provider.Complete(ctx, req, w) })
	switch {
	case err == nil:
		s.endLocal(StatusDone, w.ending)
	case errors.Is(err, errs.ErrTooLarge): // the client gets what fits, and is told why there is no more
		h.CountLimit(err)
		w.ending.FinishReason, w.ending.FinishSent = "length", false
		s.endLocal(StatusDone, w.ending)
	case ctx.Err() != nil:
		// Whoever ended the stream has said why. Only the hub's own end leaves it to us.
		s.endLocal(StatusInterrupted, errServerStopped)
	default:
		h.counts.providerError(err)
		s.endLocal(StatusFailed, Ending{Error: endError(err), Usage: w.ending.Usage, by: "provider"})
	}
}

// recoverPanic runs a provider's work, and makes an error of its panic.
func (h *Hub) recoverPanic(what string, work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("provider panicked", "panic", p, "stack", string(debug.Stack()))
			err = &ProviderError{Status: 500, Code: "internal", Type: "server_error", Message: "the " + what + " failed on this server; its log tells why"}
		}
	}()
	return work()
}

func endError(err error) *EndError {
	var p *ProviderError
	if errors.As(err, &p) {
		return &EndError{Code: p.Code, Message: p.Message, Type: p.Type, Status: p.Status, Retry: p.RetryAfter, Body: p.Body}
	}
	return &EndError{Code: "provider_error", Message: err.Error(), Type: "server_error"}
}

// completionWriter is the provider's hand on a stream.
type completionWriter struct {
	stream *Stream
	chat   bool
	opened bool
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
	if err := w.open(); err != nil {
		return err
	}
	return w.stream.addEvent(&log.Event{Kind: log.ChunkEvent, Name: "delta", Data: data, Text: text})
}

// open appends the entry that OpenAI clients see as the chunk that names the role. It is an entry like any other, so
// that a resumed stream neither repeats it nor leaves it out.
func (w *completionWriter) open() error {
	if w.opened || !w.chat {
		return nil
	}
	w.opened = true
	return w.stream.addEvent(&log.Event{Kind: log.OpenEvent, Name: "open"})
}

func (w *completionWriter) Finish(reason string, usage json.RawMessage, sent bool) {
	_ = w.open() // an empty answer has a role too; where the stream has ended there is nobody to tell
	w.ending.FinishReason, w.ending.FinishSent = reason, sent
	if len(usage) > 0 {
		w.ending.Usage = usage
	}
}
