package handlers

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// newStreamBody is the body of POST /v1/streams.
type newStreamBody struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"`
	Topic       string          `json:"topic"`
	ContentType string          `json:"content_type"`
	Keep        json.RawMessage `json:"keep"`
}

// createStream creates a stream for an external producer: 201, or 200 if the caller already created one with this id.
func (s *server) createStream(w http.ResponseWriter, r *http.Request) error {
	var body newStreamBody
	if err := s.readJSON(r, &body); err != nil {
		return err
	}
	spec, err := body.spec()
	if err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	spec = ownedBy(id, spec)
	if err := s.mayProduce(r, body.Topic); err != nil {
		return err
	}
	stream, old, err := s.hub.CreateStream(spec)
	if err != nil {
		return err
	}
	setStreamHeaders(w, r, stream)
	status := http.StatusCreated
	if old {
		status = http.StatusOK
	}
	writeJSON(w, status, viewStreamNow(stream))
	return nil
}

// ownedBy returns the spec of a stream that an identity starts.
func ownedBy(id *rights.Identity, spec hub.StreamSpec) hub.StreamSpec {
	spec.Owner, spec.Key = id.User, id.Key()
	return spec
}

// mayProduce checks the right to produce: on the topic if there is one, else on any topic.
func (s *server) mayProduce(r *http.Request, topic string) error {
	id := auth.IdentityFrom(r.Context())
	if topic != "" {
		return s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionProduce)
	}
	return rights.AuthorizeAnywhere(r.Context(), s.Authorizer, id, rights.ActionProduce)
}

func (b *newStreamBody) spec() (hub.StreamSpec, error) {
	spec := hub.StreamSpec{ID: b.ID, Kind: b.Kind, Topic: b.Topic, ContentType: b.ContentType}
	if spec.Kind == "" {
		spec.Kind = "stream"
	}
	if err := hub.ValidName("kind", spec.Kind); err != nil {
		return spec, err
	}
	if b.ContentType == "" {
		spec.ContentType = "text/plain; charset=utf-8"
	} else if _, _, err := mime.ParseMediaType(b.ContentType); err != nil {
		return spec, errs.Invalid("content_type", "must be a media type such as text/plain; got %q", clip(b.ContentType))
	}
	var err error
	if spec.Idle, err = parseKeep(b.Keep); err != nil {
		return spec, err
	}
	spec.Digest = digest(b.Kind, b.Topic, b.ContentType, string(b.Keep))
	return spec, nil
}

// parseKeep parses "finish" or {"cancel_after": seconds}; the default is "finish".
func parseKeep(raw json.RawMessage) (hub.IdlePolicy, error) {
	switch string(raw) {
	case "", "null", `"finish"`:
		return hub.IdlePolicy{}, nil
	}
	var keep struct {
		CancelAfter *float64 `json:"cancel_after"`
	}
	if json.Unmarshal(raw, &keep) != nil || keep.CancelAfter == nil ||
		*keep.CancelAfter < 0.001 || *keep.CancelAfter > 7*86400 {
		return hub.IdlePolicy{}, errs.Invalid("keep", `must be "finish" or {"cancel_after": SECONDS}, SECONDS from 0.001 to 604800`)
	}
	return hub.IdlePolicy{CancelAfter: time.Duration(*keep.CancelAfter * float64(time.Second))}, nil
}

// receiptView is the answer to an append.
type receiptView struct {
	Position  string     `json:"position"`
	Status    hub.Status `json:"status"`
	Watchers  int        `json:"watchers"`
	Lag       int        `json:"lag"`
	Cancelled bool       `json:"cancelled"`
}

// bufferedBodyBytes is the maximum size of a body that is buffered until it is complete, if another node writes the
// stream.
const bufferedBodyBytes = 64 << 10

// appendStream appends a producer's body: a complete one, or a long upload whose entries are appended as they arrive.
func (s *server) appendStream(w http.ResponseWriter, r *http.Request) error {
	stream, err := s.producibleStream(r)
	if err != nil {
		return err
	}
	ref, err := producerRef(r.Header)
	if err != nil {
		return err
	}
	if err := middleware.PlainBody(r); err != nil { // the compressed bytes would be the stream's text
		s.skipBody(r)
		return appendError(w, err)
	}
	begin := stream.Append
	if n := r.ContentLength; n >= 0 && n <= bufferedBodyBytes {
		begin = stream.AppendWhole
	}
	a, err := begin(ref)
	if err != nil {
		return appendError(w, err)
	}
	ending, err := s.takeBody(w, r, a)
	if err != nil {
		a.Abort()
		return appendError(w, err)
	}
	if strings.EqualFold(r.Header.Get("Stream-Closed"), "true") && ending == nil {
		ending = &hub.Ending{Status: hub.StatusDone, FinishReason: "stop"}
	}
	receipt, err := a.End(ending)
	if err != nil {
		return appendError(w, err)
	}
	setReceiptHeaders(w.Header(), &receipt)
	if ref.ID != "" {
		w.Header().Set("Producer-Epoch", strconv.FormatInt(ref.Epoch, 10))
		w.Header().Set("Producer-Seq", strconv.FormatInt(ref.Seq, 10))
	}
	if receipt.Duplicate {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	writeJSON(w, http.StatusOK, receiptView{
		receipt.Position.String(), receipt.Status, receipt.Watchers, receipt.Lag, receipt.Cancelled,
	})
	return nil
}

// producibleStream returns the stream of an append. A client that may not even read it gets not found. The worker that
// has the stream's job needs the right to work, and none on the stream.
func (s *server) producibleStream(r *http.Request) (*hub.Stream, error) {
	id := auth.IdentityFrom(r.Context())
	stream, err := s.hub.Stream(id.User, chi.URLParam(r, "id"))
	if err != nil {
		return nil, err
	}
	if assigned, err := stream.WasAssignedTo(id.User); err != nil {
		return nil, err
	} else if assigned {
		return stream, s.Authorizer.Authorize(r.Context(), id, hub.WorkerTopic, rights.ActionProduce)
	}
	if stream.Owner == id.User && stream.Topic == "" {
		return stream, rights.AuthorizeAnywhere(r.Context(), s.Authorizer, id, rights.ActionProduce)
	}
	err = s.Authorizer.Authorize(r.Context(), id, stream.RightsTopic(), rights.ActionProduce)
	if errors.Is(err, errs.ErrForbidden) {
		if _, unseen := s.readableStream(r); unseen != nil {
			return nil, unseen
		}
	}
	return stream, err
}

// appendError adds headers to the error of an append that a producer needs to continue: the stream's position, and the
// expected epoch or sequence number.
func appendError(w http.ResponseWriter, err error) error {
	h := w.Header()
	var (
		ended  *hub.EndedError
		fenced *hub.FencedError
		gap    *hub.GapError
	)
	switch {
	case errors.As(err, &ended):
		setReceiptHeaders(h, &ended.Receipt)
	case errors.As(err, &fenced):
		h.Set("Producer-Epoch", strconv.FormatInt(fenced.Epoch, 10))
	case errors.As(err, &gap):
		h.Set("Producer-Expected-Seq", strconv.FormatInt(gap.Expected, 10))
		h.Set("Producer-Received-Seq", strconv.FormatInt(gap.Received, 10))
	}
	h.Set("Connection", "close") // else the unread rest of an upload would be parsed as the next request
	return err
}

func setReceiptHeaders(h http.Header, r *hub.Receipt) {
	h.Set("Duckwire-Position", r.Position.String())
	h.Set("Duckwire-Status", string(r.Status))
	h.Set("Duckwire-Watchers", strconv.Itoa(r.Watchers))
	if r.Cancelled {
		h.Set("Duckwire-Cancelled", "true")
	}
	if r.Status.Ended() {
		h.Set("Stream-Closed", "true")
	}
}

// producerRef parses the three producer headers (openapi.yaml: appendStream). All must be present, or none.
func producerRef(h http.Header) (ref hub.ProducerRef, err error) {
	const most = 1<<53 - 1
	id, epoch, seq := h.Get("Producer-Id"), h.Get("Producer-Epoch"), h.Get("Producer-Seq")
	if id == "" && epoch == "" && seq == "" {
		return ref, nil
	}
	if err := hub.ValidName("Producer-Id", id); err != nil {
		return ref, err
	}
	for _, f := range []struct {
		name, text string
		value      *int64
	}{{"Producer-Epoch", epoch, &ref.Epoch}, {"Producer-Seq", seq, &ref.Seq}} {
		n, err := strconv.ParseUint(f.text, 10, 53)
		if err != nil || n > most {
			return ref, errs.Invalid(f.name,
				"must be a whole number from 0 to %d, and stand beside Producer-Id; got %q", int64(most), clip(f.text))
		}
		*f.value = int64(n)
	}
	ref.ID = id
	return ref, nil
}

// takeBody reads the body into the appender: lines of NDJSON and JSON, raw text for anything else. A body of known
// length is read completely first, so that all of it is appended or nothing.
func (s *server) takeBody(w http.ResponseWriter, r *http.Request, a *hub.Appender) (*hub.Ending, error) {
	if a.Duplicate() {
		return nil, nil
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	lines := media == live.MediaNDJSON || media == mediaJSON
	if n := r.ContentLength; n >= 0 {
		if n > s.BodyBytes {
			const name = "body in bytes (body_bytes); a chunked upload may be longer"
			return nil, &errs.LimitError{Kind: errs.ErrTooLarge, Name: name, Limit: s.BodyBytes}
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, n))
		if err != nil {
			return nil, errBody(err)
		}
		if lines {
			return addLines(a, body, media)
		}
		return nil, a.AddText(body)
	}
	leave, err := s.connections.enter(auth.IdentityFrom(r.Context()), s.Proxies.ClientOf(r), &s.Options)
	if err != nil {
		return nil, err
	}
	defer leave()
	middleware.Patient(r, s.UploadSilence)
	u, done := s.watchUpload(w, r)
	defer done()
	if lines {
		ending, err := s.uploadLines(u, a)
		return ending, u.endError(err)
	}
	return nil, u.endError(uploadText(u, a))
}

func errBody(err error) error {
	if errors.Is(err, middleware.ErrSlowBody) {
		return err
	}
	return errs.Invalid("body", "could not be read to its end: %v", err)
}

// uploadText appends raw text as it arrives.
func uploadText(body io.Reader, a *hub.Appender) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if err := a.AddText(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errBody(err)
		}
	}
}

// cancelStream ends a stream for its owner or an admin. The answer is the final state; repeated requests get the same.
func (s *server) cancelStream(w http.ResponseWriter, r *http.Request) error {
	stream, err := s.readableStream(r)
	if err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	if err := hub.AuthorizeCancel(r.Context(), s.Authorizer, id, stream); err != nil {
		return err
	}
	stream.Cancel(id.User)
	setStreamHeaders(w, r, stream)
	writeJSON(w, http.StatusOK, viewStreamNow(stream))
	return nil
}
