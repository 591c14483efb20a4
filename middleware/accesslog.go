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

// accessNote is where inner middlewares leave what the access log wants to know but cannot see: values put into a context go inwards only.
type accessNote struct {
	user  atomic.Pointer[string]
	start time.Time
}

// NoteUser tells the access log who a request comes from.
func NoteUser(ctx context.Context, user string) {
	if note, ok := ctx.Value(accessNoteKey{}).(*accessNote); ok {
		note.user.Store(&user)
	}
}

// StartOf returns when the request came, or the zero time where AccessLog does not know it.
func StartOf(ctx context.Context) time.Time {
	if note, ok := ctx.Value(accessNoteKey{}).(*accessNote); ok {
		return note.start
	}
	return time.Time{}
}

type accessNoteKey struct{}

// AccessLog writes one line for each finished request: method, route pattern, path, status, bytes of the body, duration, request id and user; the
// query where there is one, without credentials; aborted where the response was cut off. A stream's line comes when it ends.
//
// 5xx are warnings (what went wrong is logged where it did), everything else is information. Requests for one of the quiet paths, and those
// that went well for a quiet route ("POST /v1/streams/{id}/append"), are logged at the debug level only: probes, and what producers and
// publishers send for each token.
func AccessLog(logger *slog.Logger, quiet ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec, note := record(w), &accessNote{start: time.Now()}
			// Taken now, as nobody inside may change them for the log.
			path, query := r.URL.Path, r.URL.RawQuery
			r = r.WithContext(context.WithValue(r.Context(), accessNoteKey{}, note))
			aborted := true
			defer func() {
				level := slog.LevelInfo
				if rec.status >= 500 && !slices.Contains(quiet, path) {
					level = slog.LevelWarn
				} else if slices.Contains(quiet, path) || rec.status < 300 && !aborted && slices.Contains(quiet, r.Method+" "+RoutePattern(r)) {
					level = slog.LevelDebug
				}
				if !logger.Enabled(r.Context(), level) {
					return
				}
				attrs := append(make([]slog.Attr, 0, 11),
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

// statusOf returns what the client saw: a handler that wrote nothing gave 200, unless it was cut off or took the connection away.
func statusOf(rec *recorder, aborted bool) int {
	if rec.status == 0 && !aborted && !rec.hijacked {
		return http.StatusOK
	}
	return rec.status
}

// RoutePattern returns the pattern that the request matched, in chi's or else in net/http's router, or "".
func RoutePattern(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil {
		return c.RoutePattern()
	}
	return r.Pattern
}
