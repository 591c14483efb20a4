package handlers

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// getStream answers GET /v1/streams/{id} in one of its formats (openapi.yaml: getStream).
func (s *server) getStream(w http.ResponseWriter, r *http.Request) error {
	stream, err := s.readableStream(r)
	if err != nil {
		return err
	}
	setStreamHeaders(w, r, stream)
	media, shape, err := streamShape(r)
	if err != nil {
		return err
	}
	switch {
	case media != live.MediaText && isHead(r):
		return s.headStream(w, r, stream, media, shape)
	case shape == "openai":
		return s.streamOpenAI(w, r, stream)
	case media == live.MediaSSE:
		return s.streamLive(w, r, stream, live.MediaSSE)
	case media == live.MediaNDJSON:
		return s.streamLive(w, r, stream, live.MediaNDJSON)
	case media == live.MediaText:
		return s.streamText(w, r, stream)
	}
	return s.streamJSON(w, r, stream)
}

// streamShape chooses the format by ?format=, else by Accept. For a range request the default is text.
func streamShape(r *http.Request) (media, format string, err error) {
	switch format = r.URL.Query().Get("format"); format {
	case "":
	case "sse", "openai":
		return live.MediaSSE, format, nil
	case "ndjson":
		return live.MediaNDJSON, format, nil
	case "text":
		return live.MediaText, format, nil
	case "json":
		return mediaJSON, format, nil
	default:
		return "", "", errs.Invalid("?format", "must be one of sse, openai, ndjson, text, json; got %q", clip(format))
	}
	offered := []string{mediaJSON, live.MediaSSE, live.MediaNDJSON, live.MediaText}
	if r.Header.Get("Range") != "" {
		offered = []string{live.MediaText, mediaJSON, live.MediaSSE, live.MediaNDJSON}
	}
	if media = negotiate(r, offered...); media == "" {
		return "", "", fmt.Errorf("a stream can be had as %s: %w", strings.Join(offered, ", "), errAccept)
	}
	return media, "", nil
}

// readableStream returns the request's stream if the caller may read it: its owner, or a subscriber of its topic.
// Anybody else gets not found, so that ids cannot be probed.
func (s *server) readableStream(r *http.Request) (*hub.Stream, error) {
	id := auth.IdentityFrom(r.Context())
	stream, err := s.hub.Stream(id.User, chi.URLParam(r, "id"))
	if err != nil {
		return nil, err
	}
	return stream, hub.AuthorizeRead(r.Context(), s.Authorizer, id, stream)
}

func setStreamHeaders(w http.ResponseWriter, r *http.Request, stream *hub.Stream) {
	h := w.Header()
	h.Set("Location", middleware.BasePathOf(r.Context())+"/v1/streams/"+stream.ID)
	h.Set("Duckwire-Stream", stream.ID)
}

// streamLive answers with SSE or NDJSON: hello, a reset if necessary, the entries after the position, then new ones.
func (s *server) streamLive(w http.ResponseWriter, r *http.Request, stream *hub.Stream, media string) error {
	p, err := resumePosition(r, log.Position{})
	if err != nil {
		return err
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
	}
	if err := stream.CatchUp(p); err != nil {
		return err
	}
	if stream.AtEnd(p) { // only 204 makes an EventSource stop reconnecting
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	via := hub.ViaSSE
	if media == live.MediaNDJSON {
		via = hub.ViaNDJSON
	}
	pump, done, err := s.newPump(w, r, via, opts)
	if err != nil {
		return err
	}
	defer done()
	reader, reset := stream.Watch(p, pump)
	defer reader.Close()
	f := live.SSE(stream, reader, opts, reset)
	if media == live.MediaNDJSON {
		f = live.NDJSON(stream, reader, opts, reset)
	}
	live.Start(w, media)
	finishPump(pump.Run(r.Context(), f))
	return nil
}

// newPump returns the pump of a long response, which counts as one connection until done is called. Errors:
// *errs.LimitError at a limit.
func (s *server) newPump(
	w http.ResponseWriter, r *http.Request, via hub.Transport, o live.Options,
) (p *live.Pump, done func(), err error) {
	leave, err := s.enter(r, via)
	if err != nil {
		return nil, nil, err
	}
	p, forget := s.pumpOf(w, r, via, o)
	return p, func() { forget(); leave() }, nil
}

// pumpOf returns the pump of a long response whose client has been counted as connected, until done is called.
func (s *server) pumpOf(
	w http.ResponseWriter, r *http.Request, via hub.Transport, o live.Options,
) (p *live.Pump, done func()) {
	o.Via, o.Expires, o.WriteTimeout = via, auth.IdentityFrom(r.Context()).Expires, s.WriteTimeout
	p = live.New(w, r, s.hub, &s.writers, o)
	forget, stay := p.EndOnDrain(), s.onEnd(r, p.End)
	return p, func() { stay(); forget() }
}

// finishPump aborts the response if a write failed, so that the client does not take it for the stream's end.
func finishPump(err error) {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// liveRangeEnd is the last byte of a range whose end is not known yet (RFC 8673 §2.2).
const liveRangeEnd = "9007199254740991"

// streamText answers with the text as it is produced, from the byte in Range on (RFC 9110 §14). The response is
// aborted if the stream fails, or a write does.
func (s *server) streamText(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	etag := `"` + stream.Epoch() + `"`
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", etag)
	if isHead(r) { // Range is for GET only (RFC 9110 §14.2)
		st := stream.State()
		startText(w, 0, false, &st)
		return nil
	}
	at, ranged, err := byteRange(r, etag)
	if err != nil {
		return err
	}
	if err := stream.CatchUpToByte(at); err != nil {
		return err
	}
	pump, done, err := s.newPump(w, r, hub.ViaText, live.Options{Heartbeat: s.Heartbeat})
	if err != nil {
		return err
	}
	defer done()
	reader, skip, ok := stream.WatchByte(at, pump)
	st := stream.State()
	if !ok || ranged && st.Status.Ended() && at >= st.Bytes {
		if ok {
			reader.Close()
		}
		h.Set("Content-Range", "bytes */"+strconv.Itoa(st.Bytes))
		return fmt.Errorf("the text has %d bytes so far: %w", st.Bytes, errRange)
	}
	defer reader.Close()
	startText(w, at, ranged, &st)
	finishPump(pump.Run(r.Context(), live.Text(stream, reader, skip)))
	return nil
}

func startText(w http.ResponseWriter, at int, ranged bool, st *hub.StreamState) {
	h := w.Header()
	h.Set("Duckwire-Status", string(st.Status))
	if !ranged {
		live.Start(w, live.MediaText)
		_ = http.NewResponseController(w).Flush() // an error returns at the first write
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "private, no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	if st.Status.Ended() {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, st.Bytes-1, st.Bytes))
	} else {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%s/*", at, liveRangeEnd))
	}
	w.WriteHeader(http.StatusPartialContent)
	_ = http.NewResponseController(w).Flush()
}

// byteRange parses "Range: bytes=N-". Other units, several ranges and suffixes are ignored, as RFC 9110 §14.2 allows,
// and any range whose If-Range does not match.
func byteRange(r *http.Request, etag string) (at int, ranged bool, err error) {
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ok || r.Header.Get("If-Range") != "" && r.Header.Get("If-Range") != etag {
		return 0, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || first == "" || last != "" && last != liveRangeEnd || strings.Contains(spec, ",") {
		return 0, false, nil
	}
	at, err = strconv.Atoi(first)
	if err != nil || at < 0 || first[0] == '+' {
		return 0, false, errs.Invalid("Range", "must be of the form bytes=N-, N a number of bytes; got %q", clip(spec))
	}
	return at, true, nil
}
