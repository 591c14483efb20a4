package middleware

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// ErrSlowBody is the error of a Read from a request's body that came too slowly.
var ErrSlowBody = errors.New("the request's body came too slowly")

// bodyRate is what a body must bring on average, in bytes a second, beside the silence that it may have.
const bodyRate = 1 << 10

// SteadyBody ends the reading of bodies that bring nothing for silence, or on average less than 1 KiB a second: then Read fails with ErrSlowBody, and
// the connection is closed. It holds also for what net/http reads of a body that a handler has left. For uploads that last see Patient.
func SteadyBody(silence time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body != nil && r.Body != http.NoBody {
				b := &steadyBody{ReadCloser: r.Body, conn: http.NewResponseController(w), silence: silence, began: time.Now(), rate: bodyRate}
				b.extend(b.began)
				with := *r
				with.Body = b
				r = &with
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Patient lets a request's body bring nothing for silence, as often as it likes.
func Patient(r *http.Request, silence time.Duration) {
	if b, ok := r.Body.(*steadyBody); ok {
		b.silence, b.rate, b.until = silence, 0, time.Time{}
		b.extend(time.Now())
	}
}

// steadyBody moves the connection's read deadline with what comes. It is used by one goroutine, the handler's.
type steadyBody struct {
	io.ReadCloser
	conn    *http.ResponseController
	silence time.Duration
	rate    int64 // bytes a second; 0: any
	began   time.Time
	read    int64
	until   time.Time // the deadline that is set
}

func (b *steadyBody) Read(p []byte) (int, error) {
	b.extend(time.Now())
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, ErrSlowBody
	case err == io.EOF: // from now on net/http reads, to see whether the client is still there
		_ = b.conn.SetReadDeadline(time.Time{}) // unsupported by test recorders only
	}
	return n, err
}

// extend sets the deadline of the next Read, where it has moved by a tenth of the silence: a deadline for each piece would cost more than it brings.
func (b *steadyBody) extend(now time.Time) {
	until := now.Add(b.silence)
	if b.rate > 0 {
		if slowest := b.began.Add(b.silence + time.Duration(b.read)*time.Second/time.Duration(b.rate)); slowest.Before(until) {
			until = slowest
		}
	}
	if until.Sub(b.until) > b.silence/10 {
		b.until = until
		_ = b.conn.SetReadDeadline(until) // unsupported by test recorders only
	}
}
