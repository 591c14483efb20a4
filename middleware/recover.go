package middleware

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// ErrPanic is what Recover answers a request with whose handler panicked. What it panicked with is in the log only.
var ErrPanic = errors.New("the handler panicked")

// bodyHeaders speak of the answer that a handler had in mind, not of the error.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Cache-Control", "ETag", "Last-Modified", "Location"}

// Recover turns a handler's panic into a logged stack and an error response.
//
// If a response was begun, the panic becomes http.ErrAbortHandler, so that the client sees a cut and never takes half an answer for the whole
// (sse.md 6.3). A panic with http.ErrAbortHandler is a handler's own wish and passes untouched. A hijacked connection is the handler's to close.
func Recover(logger *slog.Logger, fail ErrorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(w)
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(p)
				}
				logger.LogAttrs(r.Context(), slog.LevelError, "panic",
					slog.Any("panic", p),
					slog.String("method", r.Method),
					slog.String("path", LogText(r.URL.Path)),
					slog.String("request_id", RequestIDFrom(r.Context())),
					slog.String("stack", string(debug.Stack())))
				switch {
				case rec.hijacked:
				case rec.status != 0:
					panic(http.ErrAbortHandler)
				default:
					for _, name := range bodyHeaders {
						rec.Header().Del(name)
					}
					fail(rec, r, ErrPanic)
				}
			}()
			next.ServeHTTP(rec, r)
		})
	}
}
