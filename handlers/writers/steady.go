package writers

import (
	"io"
	"time"
)

// PieceBytes is how much is written to a client under one deadline. So a deadline says how long a client may accept next
// to nothing, not how long it may take for everything: a slow client makes progress, and is not cut.
const PieceBytes = 64 << 10

// deadliner sets the write deadline of a connection or a response.
type deadliner interface{ SetWriteDeadline(t time.Time) error }

// Steady returns a writer that writes to w in pieces of PieceBytes, and gives the client the timeout for each. The first
// timeout begins now, for whatever is written before.
func Steady(w io.Writer, d deadliner, timeout time.Duration) io.Writer {
	s := &steady{w, d, timeout}
	s.extend()
	return s
}

type steady struct {
	w       io.Writer
	d       deadliner
	timeout time.Duration
}

// Write implements io.Writer.
func (s *steady) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		s.extend()
		var k int
		k, err = s.w.Write(b[:min(len(b), PieceBytes)])
		n, b = n+k, b[k:]
	}
	return n, err
}

func (s *steady) extend() { _ = s.d.SetWriteDeadline(time.Now().Add(s.timeout)) } // unsupported by test recorders only
