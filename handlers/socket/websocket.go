package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
)

// Refuser answers a request that is refused with err.
type Refuser func(w http.ResponseWriter, r *http.Request, err error)

// ErrUpgrade means that a GET on the WebSocket path does not request a WebSocket: the client or a proxy does not
// support it.
var ErrUpgrade = errors.New(
	"this path speaks WebSocket only; behind a proxy that does not, use /socket/longpoll or /socket/sse")

// WebSocket opens a socket on a WebSocket (RFC 6455), or calls refuse with the reason why not. It returns after the
// handshake. The connection's own goroutine then references neither the request nor net/http's buffers.
func (s *Server) WebSocket(w http.ResponseWriter, r *http.Request, refuse Refuser) {
	token, phx, err := readProtocols(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	h, err := s.connect(r, token)
	if err == nil && !isUpgrade(r) {
		err = ErrUpgrade
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	leave, err := s.admit(r, h, hub.ViaWebSocket)
	if err != nil {
		refuse(w, r, err)
		return
	}
	opts := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Identify has checked the origin
		CompressionMode:    websocket.CompressionDisabled,
	}
	if phx {
		opts.Subprotocols = []string{protocolPhoenix}
	}
	hw := &hijackWriter{ResponseWriter: w, timeout: s.WriteTimeout}
	conn, err := websocket.Accept(hw, r, opts)
	if err != nil {
		leave() // Accept has sent the response
		return
	}
	conn.SetReadLimit(s.HardBytes())
	s.serve(h, &webSocket{server: s, conn: conn, net: hw.conn}, leave)
}

// serve creates an accepted connection's socket and starts its goroutine.
func (s *Server) serve(h *handshake, t *webSocket, leave func()) {
	t.socket = s.newSocket(h, t, hub.ViaWebSocket)
	t.socket.binary = h.version == phoenix.V2
	t.socket.parts = h.parts
	if err := s.add(t.socket, nil, leave); err != nil {
		_ = t.conn.CloseNow()
		return
	}
	// Before the first frame is answered: a client that has an answer is past its handshake.
	code, reason := s.endedMeanwhile(h)
	if !s.tryGo(t.read) {
		_ = t.conn.CloseNow()
		t.socket.end(endBroken)
		return
	}
	if code != 0 {
		t.close(code, reason)
	}
}

// isUpgrade reports whether a request asks for a WebSocket.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && headerHas(r.Header, "Connection", "upgrade") &&
		headerHas(r.Header, "Upgrade", "websocket")
}

func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for _, part := range bytes.Split([]byte(line), []byte{','}) {
			if bytes.EqualFold(bytes.TrimSpace(part), []byte(token)) {
				return true
			}
		}
	}
	return false
}

// webSocket is the WebSocket transport. Its reader runs as long as the connection; a writer runs while there is
// something to write.
type webSocket struct {
	server *Server
	socket *Socket
	conn   *websocket.Conn
	net    *conn

	turn    writers.Turn // admits one writer at a time
	closing atomic.Bool
	pinged  time.Time // used by the sweeper only
}

// notify schedules a write.
func (t *webSocket) notify() {
	if t.turn.Take() {
		t.server.writers.Add(t) // the reader waits for the writer, and Close for the reader
	}
}

// Flush implements writers.Job. It writes until nothing is left, or the connection fails or accepts no more; then a
// goroutine of this connection continues.
func (t *webSocket) Flush(y *writers.Try) {
	p := borrowPull()
	for more := true; more; {
		var b []byte
		b, more = t.socket.group(p)
		rest, how, err := t.net.try(y, b)
		if err != nil {
			p.giveBack()
			t.breakConnection()
			return
		}
		if how != allWritten {
			go t.flushSlowly(p, rest, how) // it takes over the pull and the turn, and the reader waits for its end
			return
		}
		more = more || t.turn.Again()
	}
	p.giveBack()
}

// flushSlowly writes the rest of a group, then what else was pulled, and then what has arrived meanwhile. It blocks
// until the client has taken everything.
func (t *webSocket) flushSlowly(p *pull, rest []byte, how writeResult) {
	defer p.giveBack()
	write := t.net.send
	if how == partlyWritten {
		write = t.net.finish
	}
	err := write(rest)
	for more := true; more && err == nil; {
		var b []byte
		b, more = t.socket.group(p)
		err = t.net.send(b)
		more = more || len(b) > 0 || t.turn.Again()
	}
	if err != nil {
		t.breakConnection()
	}
}

// breakConnection closes a connection that cannot be written to, so that its reader ends the socket. Nothing more is
// written.
func (t *webSocket) breakConnection() {
	_ = t.net.Conn.Close()
	t.socket.stopReading()
	for t.turn.Again() {
	}
}

// read is the connection's goroutine: it reads until the end, then ends the writer and the socket.
func (t *webSocket) read() {
	how := t.receive()
	_ = t.net.Conn.Close()
	_ = t.conn.CloseNow()
	t.turn.End()
	t.socket.end(how)
}

// receive passes the client's frames to the socket until either of them ends.
func (t *webSocket) receive() ending {
	for {
		data, binary, whole, err := t.readMessage()
		if err == nil {
			if err = t.socket.Receive(t.server.ctx, data, binary, whole); err == nil {
				continue
			}
		}
		switch {
		case t.closing.Load():
			return endBroken // closed by the server: the client reconnects
		case errors.Is(err, phoenix.ErrUTF8):
			t.closeHandshake(closeUTF8, "a text frame must be valid UTF-8")
		case errors.Is(err, phoenix.ErrGarbage):
			t.closeHandshake(closeFrame, "the frame is no message of the protocol")
		case errors.Is(err, websocket.ErrMessageTooBig):
			// The close frame was sent already. Reading on prevents a reset that would overtake it.
			t.closeHandshake(closeTooBig, "")
		case websocket.CloseStatus(err) != -1:
			return endClosed
		}
		return endBroken
	}
}

// messages are buffers in which messages are collected, because the length of a message is known only at its end.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readMessage returns the next message in a slice of its own. Of a message above FrameBytes, only the beginning is kept,
// and whole is false.
func (t *webSocket) readMessage() (data []byte, binary, whole bool, err error) {
	kind, r, err := t.conn.Reader(context.Background()) // a context that can end would cost a timer for each message
	if err != nil {
		return nil, false, false, err
	}
	b := messages.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= 4*pullBytes {
			b.Reset()
			messages.Put(b)
		}
	}()
	most := t.server.FrameBytes
	n, err := io.Copy(b, io.LimitReader(r, most+1))
	data = b.Bytes()
	if n > most && err == nil {
		data = data[:min(len(data), phoenix.MaxHead)]
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return nil, false, false, err
	}
	return bytes.Clone(data), kind == websocket.MessageBinary, n <= most, nil
}

// close runs the closing handshake in a goroutine, because it may take five seconds.
func (t *webSocket) close(code int, reason string) bool {
	if t.closing.Swap(true) {
		return false
	}
	t.server.closeHandshakes.Add(1)
	parting := t.server.tryGo(func() {
		t.closeHandshake(websocket.StatusCode(code), reason)
		t.server.closeHandshakes.Add(-1)
		t.socket.stopReading()
	})
	if !parting {
		t.server.closeHandshakes.Add(-1)
	}
	return true
}

// closeWait is how long a client has to answer a close frame.
const closeWait = 5 * time.Second

// closeHandshake runs the closing handshake. The deadline is needed because coder/websocket waits without limit for the
// rest of a frame that has begun.
func (t *webSocket) closeHandshake(code websocket.StatusCode, reason string) {
	_ = t.net.SetReadDeadline(time.Now().Add(closeWait)) // fails only with the connection
	_ = t.conn.Close(code, reason)
}

func (t *webSocket) abort() {
	t.closing.Store(true)
	_ = t.net.Conn.Close()
}

// pingFrame is a ping, which every client must answer.
var pingFrame = seal(frameBuffer(0), opPing)

// tick pings a silent client, and closes the connection of one that does not answer.
func (t *webSocket) tick(now time.Time) {
	switch t.server.onSilence(now, t.net.lastRead(), t.pinged) {
	case sendPing:
		t.pinged = now
		t.socket.post(pingFrame)
	case closeSilent:
		t.close(closeProtocol, "nothing was heard for too long")
	}
}

// silenceAction is what to do about a silent client.
type silenceAction int

const (
	waitMore silenceAction = iota
	sendPing
	closeSilent
)

// onSilence returns what to do about a client, from when it was last heard and last pinged. It is pinged after half of
// IdleTimeout, and closed after all of it: the client is gone, or the network lost the connection. After a ping it
// always has a quarter of IdleTimeout to answer, because after a pause of the whole process every client seems to have
// been silent.
func (o *Options) onSilence(now, heard, pinged time.Time) silenceAction {
	silent, asked := now.Sub(heard), pinged.After(heard)
	switch {
	case silent < o.IdleTimeout/2, asked && now.Sub(pinged) < o.IdleTimeout/4:
		return waitMore
	case silent >= o.IdleTimeout && (asked || o.NoPing):
		return closeSilent
	case o.NoPing:
		return waitMore
	}
	return sendPing
}
