package middleware

import (
	"bufio"
	"net"
	"net/http"
)

// recorder is a ResponseWriter that remembers what was sent. Flush and Hijack are its own, because both send a header that it would otherwise not
// know of; everything else that http.ResponseController can do is found through Unwrap. It is used by one goroutine, the handler's.
type recorder struct {
	http.ResponseWriter
	status   int   // 0: no header was sent
	bytes    int64 // of the body
	hijacked bool
	lasting  func() // called once, when the response turns out to last; nil: nobody wants to know, or knows
}

// record returns w if it is a recorder already, so that several middlewares share one, and a new recorder otherwise.
func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

// Unwrap lets http.ResponseController reach the writer underneath.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Informational responses (RFC 9110 §15.2) but 101 leave the final one to come.
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

// Sent counts bytes of the body that a handler wrote past the recorder, to the connection itself.
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

// lasts notes that the client has the header while the handler goes on.
func (rec *recorder) lasts() {
	if tell := rec.lasting; tell != nil {
		rec.lasting = nil
		tell()
	}
}

// sent notes that the header is out; without a WriteHeader it was 200.
func (rec *recorder) sent() {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
}

// Observe is for middlewares of other packages: it returns w as a writer that remembers what was sent, the one that all middlewares share, and what
// tells the status that the client saw (0: none). lasting is called once, by the handler's goroutine, when the header is out while the handler goes on:
// at the first flush, or when it takes the connection over.
func Observe(w http.ResponseWriter, lasting func()) (observed http.ResponseWriter, status func(aborted bool) int) {
	rec := record(w)
	rec.lasting = lasting
	return rec, func(aborted bool) int { return statusOf(rec, aborted) }
}
