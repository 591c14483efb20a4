package middleware

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// ErrPanic is the error with which Recover answers a request whose handler panicked. The panic's value is only logged.
var ErrPanic = errors.New("the handler panicked")

// bodyHeaders describe the handler's own response, so they are removed before an error is written.
var bodyHeaders = []string{
	"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition",
	"Cache-Control", "ETag", "Last-Modified", "Location",
}

// Recover turns a handler's panic into a logged stack and an error response.
//
// If the response was begun, the panic becomes http.ErrAbortHandler, so that the connection is cut and the client
// cannot mistake a partial response for a complete one. A panic with http.ErrAbortHandler is passed on, because the
// handler aborts on purpose. The handler must close a hijacked connection itself.
func Recover(logger *slog.Logger, fail ErrorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(w)
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
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
