package handlers

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// Problem is the body of an error (RFC 9457), with a code that stays the same and, where there is one, the field at fault.
type Problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Field      string `json:"field,omitempty"`
	Limit      int64  `json:"limit,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	RequestID  string `json:"request_id,omitempty"`

	err error // unknown: logged, not shown
}

// errMethod and errAccept are faults of the request that the hub knows nothing of.
var (
	errMethod  = errors.New("method not allowed")
	errAccept  = errors.New("not acceptable")
	errMedia   = errors.New("unsupported media type")
	errRange   = errors.New("range not satisfiable")
	errNoRoute = errors.New("no such path")
	minRetry   = time.Second
)

// problems is the one table from errors to statuses, first match first.
var problems = []struct {
	err    error
	status int
	code   string
	title  string
}{
	{socket.ErrUpgrade, http.StatusUpgradeRequired, "upgrade_required", "The path speaks WebSocket"},
	{errs.ErrInvalid, http.StatusBadRequest, "invalid", "The request is not valid"},
	{errs.ErrUnauthenticated, http.StatusUnauthorized, "unauthorized", "A valid token is needed"},
	{errs.ErrForbidden, http.StatusForbidden, "forbidden", "The token does not allow this"},
	{errs.ErrNotFound, http.StatusNotFound, "not_found", "There is no such thing, or not for this token"},
	{errNoRoute, http.StatusNotFound, "no_such_path", "There is nothing at this path"},
	{errMethod, http.StatusMethodNotAllowed, "method_not_allowed", "The path does not answer this method"},
	{errAccept, http.StatusNotAcceptable, "not_acceptable", "None of the accepted media types can be had"},
	{errMedia, http.StatusUnsupportedMediaType, "unsupported_media_type", "The body's media type is not understood"},
	{errRange, http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable", "The range lies beyond the text"},
	{errs.ErrConflict, http.StatusConflict, "conflict", "The request does not fit what is there"},
	{errs.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "The request is too large"},
	{middleware.ErrSlowBody, http.StatusRequestTimeout, "too_slow", "The request came too slowly"},
	{errs.ErrLimited, http.StatusTooManyRequests, "rate_limited", "A limit is reached"},
	{errs.ErrQueueFull, http.StatusTooManyRequests, "queue_full", "The user's queue is full"},
	{errs.ErrClosed, http.StatusServiceUnavailable, "draining", "The server is going down"},
	{errs.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "A part that the answer needs does not answer"},
}

// problemOf turns an error into its problem document. What is not in the table is "internal", and says nothing of itself.
func problemOf(err error) *Problem {
	p := &Problem{Type: "about:blank", Title: "Something went wrong on the server", Status: http.StatusInternalServerError, Code: "internal", Detail: "the server's log tells more under the request id", err: err}
	for _, k := range problems {
		if errors.Is(err, k.err) {
			p.Status, p.Code, p.Title, p.Detail, p.err = k.status, k.code, k.title, err.Error(), nil
			break
		}
	}
	p.addData(err)
	return p
}

// addData fills what the typed errors carry.
func (p *Problem) addData(err error) {
	var (
		field  *errs.FieldError
		limit  *errs.LimitError
		ended  *hub.EndedError
		fenced *hub.FencedError
		gap    *hub.GapError
		lease  *hub.LeaseError
	)
	switch {
	case errors.As(err, &field):
		p.Field = field.Field
	case errors.As(err, &limit):
		p.Limit, p.RetryAfter = limit.Limit, retrySeconds(limit.Retry)
		if p.Status == http.StatusTooManyRequests {
			p.RetryAfter = max(p.RetryAfter, 1)
		}
	case errors.As(err, &ended):
		p.Status, p.Code, p.Title = http.StatusConflict, "stream_ended", "The stream has ended"
	case errors.As(err, &fenced):
		p.Code = "fenced"
	case errors.As(err, &gap):
		p.Code = "sequence_gap"
	case errors.As(err, &lease):
		p.Code, p.RetryAfter = "lease_held", retrySeconds(max(lease.Left, time.Second))
	}
	if p.Status == http.StatusServiceUnavailable {
		p.RetryAfter = max(p.RetryAfter, retrySeconds(2*minRetry))
	}
}

// retrySeconds spreads a wait over 100 to 200 % of itself, so that those who were refused together do not come back together.
func retrySeconds(wait time.Duration) int {
	if wait <= 0 {
		return 0
	}
	return int(math.Ceil(wait.Seconds() * (1 + rand.Float64())))
}

// WriteError answers with the problem document of err, and logs what is not the client's fault.
func (s *server) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	s.hub.CountLimit(err)
	p := problemOf(err)
	p.RequestID = middleware.RequestIDFrom(r.Context())
	_, said := providerError(err)
	if p.err != nil && !said && r.Context().Err() == nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "internal error", slog.String("path", middleware.LogText(r.URL.Path)), slog.String("request_id", p.RequestID), slog.Any("error", err))
	}
	if said || isOpenAIPath(r) {
		writeOpenAIError(w, p, err)
		return
	}
	if isTemporary(p.Status) && mayBeEventSource(r) {
		s.writeBye(w, p)
		return
	}
	p.header(w.Header())
	body, _ := json.Marshal(p) // of strings and numbers
	answer(w, p.Status, "application/problem+json", body)
}

// isTemporary reports whether waiting helps against a status.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// mayBeEventSource reports whether the request may be a browser's EventSource, which any status but 200 puts off for good.
func mayBeEventSource(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), live.MediaSSE)
}

// writeBye tells an EventSource to come back after a wait (protocol/sse.md 6.4).
func (s *server) writeBye(w http.ResponseWriter, p *Problem) {
	reason := "overloaded"
	if p.Code == "draining" {
		reason = "drain"
	}
	limitWrite(w)
	live.Start(w, live.MediaSSE)
	_, _ = w.Write(sse.AppendBye(nil, reason, time.Duration(p.RetryAfter)*time.Second)) // the client has gone: there is nobody to tell
}

// header sets what an error says beside its body.
func (p *Problem) header(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer")
	}
}
