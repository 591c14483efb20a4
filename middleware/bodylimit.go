package middleware

import (
	"errors"
	"io"
	"net/http"

	"github.com/duckwire/duckwire/hub/errs"
)

// limitedBody is a body of at most limit bytes. Beyond them, Read returns a *errs.LimitError that matches
// errs.ErrTooLarge.
type limitedBody struct {
	io.ReadCloser
	limit int64
}

func limitBody(body io.ReadCloser, limit int64) *limitedBody {
	return &limitedBody{http.MaxBytesReader(nil, body, limit), limit}
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = &errs.LimitError{Kind: errs.ErrTooLarge, Name: "body in bytes (body_bytes)", Limit: b.limit}
	}
	return n, err
}
