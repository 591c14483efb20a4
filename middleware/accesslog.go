package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
)

// accessNote carries values from inner middlewares out to AccessLog. A context only passes values inwards, so AccessLog
// puts a pointer into it.
type accessNote struct {
	user, actor atomic.Pointer[string]
	start       time.Time
}

// NoteUser sets the user in the access log's line for a request.
func NoteUser(ctx context.Context, user string) {
	if note, ok := ctx.Value(accessNoteKey{}).(*accessNote); ok {
		note.user.Store(&user)
	}
}

// NoteActor sets who acts for the user in the access log's line for a request: the name of an API key, or
// user:ID of a token.
func NoteActor(ctx context.Context, actor string) {
	if note, ok := ctx.Value(accessNoteKey{}).(*accessNote); ok {
		note.actor.Store(&actor)
	}
}

// StartOf returns when the request arrived, or the zero time if it did not pass through AccessLog.
func StartOf(ctx context.Context) time.Time {
	if note, ok := ctx.Value(accessNoteKey{}).(*accessNote); ok {
		return note.start
	}
	return time.Time{}
}

type accessNoteKey struct{}

// AccessLog logs one line for each finished request: method, route pattern, path, status, bytes of the body, duration,
// request id, user and who acts for the user (actor); the query, if any, without credentials; and aborted if the
// response was cut off. A stream is logged when it ends.
//
// A 5xx is logged at the warning level (its cause is logged where it occurred), everything else at the info level.
// Requests for a quiet path, and successful requests for a quiet route (such as "POST /v1/streams/{id}/append"), are
// logged at the debug level: probes, and requests that producers and publishers send for each token.
func AccessLog(logger *slog.Logger, quiet ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec, note := record(w), &accessNote{start: time.Now()}
			// Copied now: inner handlers may change the URL.
			path, query := r.URL.Path, r.URL.RawQuery
			r = r.WithContext(context.WithValue(r.Context(), accessNoteKey{}, note))
			aborted := true
			defer func() {
				level := slog.LevelInfo
				if rec.status >= 500 && !slices.Contains(quiet, path) {
					level = slog.LevelWarn
				} else if slices.Contains(quiet, path) ||
					rec.status < 300 && !aborted && slices.Contains(quiet, r.Method+" "+RoutePattern(r)) {
					level = slog.LevelDebug
				}
				if !logger.Enabled(r.Context(), level) {
					return
				}
				attrs := append(make([]slog.Attr, 0, 12),
					slog.String("method", LogText(r.Method)),
					slog.String("route", RoutePattern(r)),
					slog.String("path", LogText(path)),
					slog.Int("status", statusOf(rec, aborted)),
					slog.Int64("bytes", rec.bytes),
					slog.Duration("duration", time.Since(note.start)),
					slog.String("request_id", RequestIDFrom(r.Context())))
				if user := note.user.Load(); user != nil {
					attrs = append(attrs, slog.String("user", *user))
				}
				if actor := note.actor.Load(); actor != nil {
					attrs = append(attrs, slog.String("actor", *actor))
				}
				if query != "" {
					attrs = append(attrs, slog.String("query", LogText(RedactQuery(query))))
				}
				if aborted {
					attrs = append(attrs, slog.Bool("aborted", true))
				}
				logger.LogAttrs(r.Context(), level, "request", attrs...)
			}()
			next.ServeHTTP(rec, r)
			aborted = false
		})
	}
}

// statusOf returns the status that the client received. A handler that wrote nothing sent 200, unless it was aborted or
// hijacked the connection.
func statusOf(rec *recorder, aborted bool) int {
	if rec.status == 0 && !aborted && !rec.hijacked {
		return http.StatusOK
	}
	return rec.status
}

// RoutePattern returns the pattern that the request matched in chi's router or else in net/http's, or "".
func RoutePattern(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil {
		return c.RoutePattern()
	}
	return r.Pattern
}
