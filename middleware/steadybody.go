package middleware

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// ErrSlowBody is returned by Read if a request's body arrives too slowly.
var ErrSlowBody = errors.New("the request's body came too slowly")

// bodyRate is the minimum average rate of a body, in bytes per second. The allowed silence is added to the time.
const bodyRate = 1 << 10

// SteadyBody aborts request bodies that send nothing for the duration silence, or on average less than 1 KiB per
// second: Read returns ErrSlowBody, and the connection is closed. This also covers the rest of a body that net/http
// reads after the handler returned. For long uploads see Patient.
func SteadyBody(silence time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body != nil && r.Body != http.NoBody {
				b := &steadyBody{
					ReadCloser: r.Body, conn: http.NewResponseController(w), silence: silence,
					began: time.Now(), rate: bodyRate,
				}
				b.extend(b.began)
				with := *r
				with.Body = b
				r = &with
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Patient removes the minimum rate from a request's body and sets how long it may send nothing.
func Patient(r *http.Request, silence time.Duration) {
	if b, ok := r.Body.(*steadyBody); ok {
		b.silence, b.rate, b.until = silence, 0, time.Time{}
		b.extend(time.Now())
	}
}

// steadyBody extends the connection's read deadline as data arrives. Only the handler's goroutine uses it.
type steadyBody struct {
	io.ReadCloser
	conn    *http.ResponseController
	silence time.Duration
	rate    int64 // bytes per second; 0: no minimum
	began   time.Time
	read    int64
	until   time.Time // the current deadline
}

func (b *steadyBody) Read(p []byte) (int, error) {
	b.extend(time.Now())
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, ErrSlowBody
	case err == io.EOF: // net/http now reads in the background, to detect that the client has gone
		_ = b.conn.SetReadDeadline(time.Time{}) // unsupported by test recorders only
	}
	return n, err
}

// extend sets the deadline of the next Read if it moved by more than a tenth of the silence. Setting it for each Read
// would cost more than it is worth.
func (b *steadyBody) extend(now time.Time) {
	until := now.Add(b.silence)
	if b.rate > 0 {
		if slowest := b.began.Add(b.silence +
			time.Duration(b.read)*time.Second/time.Duration(b.rate)); slowest.Before(until) {
			until = slowest
		}
	}
	if until.Sub(b.until) > b.silence/10 {
		b.until = until
		_ = b.conn.SetReadDeadline(until) // unsupported by test recorders only
	}
}
