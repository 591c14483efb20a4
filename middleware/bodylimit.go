package middleware

import (
	"errors"
	"io"
	"net/http"

	"github.com/duckwire/duckwire/hub/errs"
)

// BodyLimit rejects request bodies of more than limit bytes with a *errs.LimitError that matches errs.ErrTooLarge: at
// once if Content-Length exceeds the limit, otherwise from the Read that exceeds it. The connection is then closed, so
// that the server need not read the rest.
func BodyLimit(limit int64, fail ErrorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				w.Header().Set("Connection", "close")
				fail(w, r, bodyTooLarge(limit))
				return
			}
			if r.Body != nil && r.Body != http.NoBody {
				limited := *r
				limited.Body = &limitedBody{ReadCloser: http.MaxBytesReader(innermost(w), r.Body, limit), limit: limit}
				r = &limited
			}
			next.ServeHTTP(w, r)
		})
	}
}

func bodyTooLarge(limit int64) error {
	return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "request body in bytes (body_bytes)", Limit: limit}
}

// limitedBody converts *http.MaxBytesError to *errs.LimitError.
type limitedBody struct {
	io.ReadCloser
	limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = bodyTooLarge(b.limit)
	}
	return n, err
}

// innermost returns the server's own ResponseWriter. MaxBytesReader tells it to close the connection, and does not call
// Unwrap.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}
