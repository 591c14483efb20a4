package middleware

import (
	"bufio"
	"net"
	"net/http"
)

// recorder is a ResponseWriter that records the status and the size of the response. It implements Flush and Hijack
// itself because both may send a header; http.ResponseController finds everything else through Unwrap. Only the
// handler's goroutine uses it.
type recorder struct {
	http.ResponseWriter
	status   int   // 0: no header was sent yet
	bytes    int64 // of the body
	hijacked bool
	lasting  func() // called once, when the header is sent while the handler goes on; nil: not needed, or called
}

// record returns w if it is already a recorder, so that middlewares share one, and a new recorder otherwise.
func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

// Unwrap lets http.ResponseController reach the writer underneath.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Informational responses (RFC 9110 §15.2) other than 101 precede the
// final one and are not recorded.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	rec.sent()
	n, err := rec.ResponseWriter.Write(b)
	rec.bytes += int64(n)
	return n, err
}

// Sent counts bytes of the body that a handler wrote directly to the connection, bypassing the recorder.
func (rec *recorder) Sent(n int64) { rec.bytes += n }

// FlushError is what http.ResponseController calls for Flush.
func (rec *recorder) FlushError() error {
	err := http.NewResponseController(rec.ResponseWriter).Flush()
	if err == nil {
		rec.sent()
		rec.lasts()
	}
	return err
}

// Flush implements http.Flusher.
func (rec *recorder) Flush() { _ = rec.FlushError() }

// Hijack implements http.Hijacker.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(rec.ResponseWriter).Hijack()
	if err == nil {
		rec.hijacked = true
		rec.lasts()
	}
	return conn, rw, err
}

// lasts calls lasting once: the header is sent, and the handler goes on.
func (rec *recorder) lasts() {
	if tell := rec.lasting; tell != nil {
		rec.lasting = nil
		tell()
	}
}

// sent records that the header was sent; without a WriteHeader the status is 200.
func (rec *recorder) sent() {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
}

// Observe is for middlewares of other packages. It returns the recorder that all middlewares share, and a function that
// returns the status that the client received (0: none). lasting is called once, by the handler's goroutine, when the
// header is sent while the handler goes on: at the first flush, or when the handler hijacks the connection.
func Observe(w http.ResponseWriter, lasting func()) (observed http.ResponseWriter, status func(aborted bool) int) {
	rec := record(w)
	rec.lasting = lasting
	return rec, func(aborted bool) int { return statusOf(rec, aborted) }
}
