package socket

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// maxSentBytes is how many bytes of sent frames an SSE session buffers for a client that returns.
const maxSentBytes = 1 << 20

// sseState is a session's state for SSE. Session.reading guards it.
type sseState struct {
	sent []sentFrame // the last sent frames, oldest first
	next uint64      // the number of the next frame
	size int         // total bytes in sent
}

// sentFrame is a frame that may not have arrived. Other readers may share its bytes.
type sentFrame struct {
	frame frame
	at    time.Time
}

// SSEConn is one connection of an SSE client to its session. It reads the socket's frames, numbered 1, 2, 3 …. Only
// the goroutine that opened it may use it.
type SSEConn struct {
	ses    *session
	wake   log.Waker
	sentTo uint64 // number of the last frame passed to this connection
}

// OpenSSE opens a session for a client that has none (token is ""), or resumes the session of the token after the frame
// number after. Errors: those of a refusal; one that matches ErrSession if the session is over, or no longer has the
// frames that the client missed: the client must connect anew. wake is signalled when Next may have more, until Close.
func (s *Server) OpenSSE(r *http.Request, token string, after uint64, wake log.Waker) (*SSEConn, error) {
	if token == "" {
		h, err := s.connect(r, r.Header.Get(headerAuthToken))
		if err != nil {
			return nil, err
		}
		ses, err := s.openSession(r, h, hub.ViaSSESocket, s.FrameLife)
		if err != nil {
			return nil, err
		}
		ses.sse.next = 1
		return newSSEConn(ses, 0, wake)
	}
	name, _, ok := s.tokens.parse(token)
	ses := s.session(name)
	if !ok || ses == nil || !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return nil, ErrSession
	}
	return newSSEConn(ses, after, wake)
}

// CheckSSE returns the error with which OpenSSE would refuse a request, and opens and resumes nothing.
func (s *Server) CheckSSE(r *http.Request, token string) error {
	if token == "" {
		_, err := s.connect(r, r.Header.Get(headerAuthToken))
		return err
	}
	name, _, ok := s.tokens.parse(token)
	if ses := s.session(name); !ok || ses == nil || !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return ErrSession
	}
	return nil
}

// ErrSession means that a session is over.
var ErrSession = errSession

func newSSEConn(ses *session, after uint64, wake log.Waker) (*SSEConn, error) {
	if !ses.attach(wake) {
		return nil, ErrSession
	}
	ses.reading.Lock()
	st := &ses.sse
	kept := after < st.next && after+1 >= st.next-uint64(len(st.sent))
	ses.reading.Unlock()
	if !kept {
		ses.detach(wake)
		ses.finish(endBroken)
		return nil, ErrSession
	}
	return &SSEConn{ses: ses, wake: wake, sentTo: after}, nil
}

// Token returns the session's token, for the client's POSTs and to resume.
func (d *SSEConn) Token() string { return d.ses.server.tokens.make(d.ses.socket.id, 0) }

// User returns the session's user.
func (d *SSEConn) User() string { return d.ses.socket.identity().User }

// Reason returns the reason in the last event of a session that has ended (openapi.yaml: Bye): whether the client
// should reconnect with another token, or with the same one.
func (d *SSEConn) Reason() string {
	switch d.ses.closeCode.Load() {
	case closeExpired, closeRevoked:
		return "unauthorized"
	}
	return "session"
}

// Next calls each with the next frames, at most about 128 KiB; it signals its waker if there may be more. end means
// that the connection is over: the session has ended, or the client resumed it on another connection.
func (d *SSEConn) Next(now time.Time, each func(number uint64, payload []byte)) (end bool) {
	ses := d.ses
	ses.reading.Lock()
	defer ses.reading.Unlock()
	if !ses.isReader(d.wake) {
		return true
	}
	st := &ses.sse
	if d.sentTo+1 == st.next {
		st.trim(now.Add(-ses.server.FrameLife))
		ses.fill(now)
	}
	size := 0
	for ; d.sentTo+1 < st.next && size < 2*pullBytes; d.sentTo++ {
		f := st.sent[len(st.sent)-int(st.next-1-d.sentTo)].frame
		each(d.sentTo+1, f.payload())
		size += len(f)
	}
	if size > 0 {
		d.wake.Signal()
	}
	return false
}

// fill moves frames from the socket to sse.sent.
func (ses *session) fill(now time.Time) {
	p := borrowPull()
	defer p.giveBack()
	ses.socket.next(p)
	st := &ses.sse
	for _, f := range p.frames {
		st.sent = append(st.sent, sentFrame{f, now})
		st.size += len(f)
		st.next++
	}
}

// trim drops frames that were sent before the time, and the oldest ones beyond maxSentBytes.
func (st *sseState) trim(before time.Time) {
	n := 0
	for n < len(st.sent) && (st.sent[n].at.Before(before) || st.size > maxSentBytes) {
		st.size -= len(st.sent[n].frame)
		n++
	}
	clear(st.sent[:n])
	st.sent = st.sent[n:]
}

// Close ends the connection; the session remains for the client to resume.
func (d *SSEConn) Close() {
	d.ses.detach(d.wake)
}

// Receive receives the body of a POST for the session of a token. Errors: one that matches ErrSession; those of the
// protocol, after which the session is over; errs.ErrTooLarge; errs.ErrInvalid for a body that is not in its content
// coding.
func (s *Server) Receive(r *http.Request, token string) error {
	name, _, ok := s.tokens.parse(token)
	ses := s.session(name)
	if !ok || ses == nil || !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return ErrSession
	}
	return ses.receive(r)
}
