package socket

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// maxSentBytes is how many bytes of frames an SSE session keeps for a client that comes back.
const maxSentBytes = 1 << 20

// sseState is what a session needs for SSE; only who has taken the session uses it.
type sseState struct {
	sent []sentFrame // the last ones, oldest first
	next uint64      // the number of the next frame
	size int         // bytes of sent
}

// sentFrame is a frame that may not have arrived. Its bytes are shared with whoever else has it.
type sentFrame struct {
	frame frame
	at    time.Time
}

// SSEConn is one connection of an SSE client to its session: it reads the socket's frames, numbered 1, 2, 3 …, and belongs to the
// goroutine that opened it.
type SSEConn struct {
	ses    *session
	wake   log.Waker
	sentTo uint64 // the number of the last frame that this connection was given
}

// OpenSSE opens a session for a client that comes with none (token is ""), or takes on the session of the token behind the frame number
// after. Errors: errors of a refusal; one that matches ErrSession where the session is over, or has not kept what the client missed: the
// client must connect anew. wake is signalled when Next may have something, until Close.
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

// Token returns the session's token, for the client's POSTs and its return.
func (d *SSEConn) Token() string { return d.ses.server.tokens.make(d.ses.socket.id, 0) }

// User returns the session's user.
func (d *SSEConn) User() string { return d.ses.socket.identity().User }

// Reason is the reason of the farewell where the session has ended (protocol/sse.md 5): whether its client should come back with another token, or
// just anew.
func (d *SSEConn) Reason() string {
	switch d.ses.closeCode.Load() {
	case closeExpired, closeRevoked:
		return "unauthorized"
	}
	return "session"
}

// Next calls each with the frames that follow, at most about 128 KiB of them; it wakes itself where there may be more. end says that the
// connection is over: the session has ended, or the client has come back on another one.
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

// fill takes what the socket has.
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

// trim drops frames that were sent before the time, and the oldest beyond maxKept.
func (st *sseState) trim(before time.Time) {
	n := 0
	for n < len(st.sent) && (st.sent[n].at.Before(before) || st.size > maxSentBytes) {
		st.size -= len(st.sent[n].frame)
		n++
	}
	clear(st.sent[:n])
	st.sent = st.sent[n:]
}

// Close ends the connection; the session waits for the client.
func (d *SSEConn) Close() {
	d.ses.detach(d.wake)
}

// Receive takes the body of a POST for the session of a token. Errors: one that matches ErrSession; the protocol's, after which the session is
// over; *http.MaxBytesError.
func (s *Server) Receive(r *http.Request, token string) error {
	name, _, ok := s.tokens.parse(token)
	ses := s.session(name)
	if !ok || ses == nil || !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return ErrSession
	}
	return ses.receive(r)
}
