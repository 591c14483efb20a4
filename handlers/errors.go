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

// Problem is the body of an error (RFC 9457), with a stable code and, if there is one, the invalid field.
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

	codings string // the header Accept-Encoding; "": none
	err     error  // internal error: logged, not sent
}

// Request errors that the hub does not know.
var (
	errMethod  = errors.New("method not allowed")
	errAccept  = errors.New("not acceptable")
	errMedia   = errors.New("unsupported media type")
	errRange   = errors.New("range not satisfiable")
	errNoRoute = errors.New("no such path")
	minRetry   = time.Second
)

// problems maps errors to statuses. The first match is used.
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
	{
		middleware.ErrCoding, http.StatusUnsupportedMediaType, "unsupported_coding",
		"The body's content coding is not accepted",
	},
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

// problemOf returns the problem document of an error. Errors that are not in the table are "internal", without a
// detail.
func problemOf(err error) *Problem {
	p := &Problem{
		Type: "about:blank", Title: "Something went wrong on the server", Status: http.StatusInternalServerError,
		Code: "internal", Detail: "the server's log tells more under the request id", err: err,
	}
	for _, k := range problems {
		if errors.Is(err, k.err) {
			p.Status, p.Code, p.Title, p.Detail, p.err = k.status, k.code, k.title, err.Error(), nil
			break
		}
	}
	p.addData(err)
	return p
}

// addData adds the data of typed errors.
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
	case errors.Is(err, middleware.ErrCoding):
		p.codings = middleware.AcceptedCodings(err)
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

// retrySeconds returns a random time between 100 and 200 % of wait, so that clients that were refused together do not
// return together.
func retrySeconds(wait time.Duration) int {
	if wait <= 0 {
		return 0
	}
	return int(math.Ceil(wait.Seconds() * (1 + rand.Float64())))
}

// WriteError answers with the problem document of err, and logs server errors.
func (s *server) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	s.hub.CountLimit(err)
	p := problemOf(err)
	p.RequestID = middleware.RequestIDFrom(r.Context())
	_, said := providerError(err)
	if p.err != nil && !said && r.Context().Err() == nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "internal error",
			slog.String("path", middleware.LogText(r.URL.Path)),
			slog.String("request_id", p.RequestID), slog.Any("error", err))
	}
	if said || isOpenAIPath(r.URL.Path) || isMissingOpenAI(err) {
		writeOpenAIError(w, p, err)
		return
	}
	if isTemporary(p.Status) && mayBeEventSource(r) {
		s.writeBye(w, p)
		return
	}
	p.header(w.Header())
	body, _ := json.Marshal(p) // strings and numbers always encode
	answer(w, p.Status, "application/problem+json", body)
}

// isTemporary reports whether a retry may succeed after a status.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// mayBeEventSource reports whether the request may come from a browser's EventSource, which gives up after any status
// but 200.
func mayBeEventSource(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), live.MediaSSE)
}

// writeBye tells an EventSource to reconnect after a wait. It answers 200, because an EventSource gives up for good on
// any other status (WHATWG HTML §9.2.3).
func (s *server) writeBye(w http.ResponseWriter, p *Problem) {
	reason, retry := "overloaded", time.Duration(p.RetryAfter)*time.Second
	if p.Code == "draining" {
		reason, retry = live.ByeDrain, live.AfterRestart()
	}
	out := steady(w)
	live.Start(w, live.MediaSSE)
	_, _ = out.Write(sse.AppendBye(nil, reason, retry)) // fails only if the client is gone
}

// header sets the headers of an error.
func (p *Problem) header(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.codings != "" {
		h.Set("Accept-Encoding", p.codings)
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer")
	}
}
