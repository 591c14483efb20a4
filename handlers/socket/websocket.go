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

// Refuse answers a request that is not let in.
type Refuser func(w http.ResponseWriter, r *http.Request, err error)

// ErrUpgrade means that a GET on the WebSocket path asks for no WebSocket: the client, or a proxy before it, knows none.
var ErrUpgrade = errors.New("this path speaks WebSocket only; behind a proxy that does not, use /socket/longpoll or /socket/sse")

// WebSocket opens a socket on a WebSocket (RFC 6455), or has refuse answer why not. It returns when the handshake is done: the connection then
// has a goroutine of its own, which holds neither the request nor net/http's buffers.
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
	opts := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled} // Identify has looked at the origin
	if phx {
		opts.Subprotocols = []string{protocolPhoenix}
	}
	hw := &hijackWriter{ResponseWriter: w, timeout: s.WriteTimeout}
	conn, err := websocket.Accept(hw, r, opts)
	if err != nil {
		leave() // Accept has answered
		return
	}
	conn.SetReadLimit(s.FrameBytes)
	s.serve(h, &webSocket{server: s, conn: conn, net: hw.conn}, leave)
}

// serve gives an accepted connection its socket and its goroutine.
func (s *Server) serve(h *handshake, t *webSocket, leave func()) {
	t.socket = s.newSocket(h, t, hub.ViaWebSocket)
	t.socket.binary = h.version == phoenix.V2
	if err := s.add(t.socket, nil, leave); err != nil {
		_ = t.conn.CloseNow()
		return
	}
	if !s.tryGo(t.read) {
		_ = t.conn.CloseNow()
		t.socket.end(endBroken)
		return
	}
	if code, reason := s.endedMeanwhile(h); code != 0 {
		t.close(code, reason)
	}
}

// isUpgrade reports whether a request asks for a WebSocket.
func isUpgrade(r *http.Request) bool {
	return headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket")
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

// webSocket is the WebSocket transport. Its reader is a goroutine for as long as the connection lasts; its writer is one while there is
// something to be written.
type webSocket struct {
	server *Server
	socket *Socket
	conn   *websocket.Conn
	net    *conn

	turn    writers.Turn // to write
	closing atomic.Bool
	pinged  time.Time // the sweeper's
}

// notify has what there is written, soon.
func (t *webSocket) notify() {
	if t.turn.Take() {
		t.server.writers.Add(t) // the reader waits for the turn's end, and Close for the reader
	}
}

// Flush implements writers.Job: it writes until there is nothing more, or the connection is broken, or it takes nothing more at the moment: then a
// goroutine of the socket's own goes on.
func (t *webSocket) Flush(y *writers.Try) {
	p := borrowPull()
	defer p.giveBack()
	for more := true; more; {
		more = t.socket.next(p)
		rest, how, err := t.net.try(y, p.join())
		if err != nil {
			t.breakConnection()
			return
		}
		if how != allWritten {
			if len(p.frames) > 1 {
				rest = bytes.Clone(rest) // of p.buf, which others will use
			}
			go t.flushSlowly(rest, how) // it has the turn, whose end the reader waits for
			return
		}
		more = more || t.turn.Again()
	}
}

// flushSlowly writes what is left of a flush, and then what has come meanwhile, at the speed of the client.
func (t *webSocket) flushSlowly(rest []byte, how writeResult) {
	p := borrowPull()
	defer p.giveBack()
	write := t.net.send
	if how == partlyWritten {
		write = t.net.finish
	}
	err := write(rest)
	for more := true; more && err == nil; {
		more = t.socket.next(p)
		b := p.join()
		err = t.net.send(b)
		more = more || len(b) > 0 || t.turn.Again()
	}
	if err != nil {
		t.breakConnection()
	}
}

// breakConnection ends a connection that cannot be written to: its reader ends, and with it the socket. Nothing more is written.
func (t *webSocket) breakConnection() {
	_ = t.net.Conn.Close()
	t.socket.stopReading()
	for t.turn.Again() {
	}
}

// read is the connection's goroutine: it reads until the end, and then puts everything away.
func (t *webSocket) read() {
	how := t.receive()
	_ = t.net.Conn.Close()
	_ = t.conn.CloseNow()
	t.turn.End()
	t.socket.end(how)
}

// receive hands the client's frames to the socket, until one of the two is over.
func (t *webSocket) receive() ending {
	for {
		data, binary, err := t.readMessage()
		if err == nil {
			if err = t.socket.Receive(t.server.ctx, data, binary); err == nil {
				continue
			}
		}
		switch {
		case t.closing.Load():
			return endBroken // it was us: the client comes back
		case errors.Is(err, phoenix.ErrUTF8):
			t.closeHandshake(closeUTF8, "a text frame must be valid UTF-8")
		case errors.Is(err, websocket.ErrMessageTooBig):
			t.closeHandshake(closeTooBig, "") // has been sent; what the client still sends is read, or a reset would overtake the close
		case errors.Is(err, phoenix.ErrFrame):
			t.closeHandshake(closeFrame, "the frame is no message of the protocol")
		case websocket.CloseStatus(err) != -1:
			return endClosed
		}
		return endBroken
	}
}

// messages are the buffers that messages are collected in: how long one is, is known at its end.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readMessage returns the next message as a slice of its own.
func (t *webSocket) readMessage() (data []byte, binary bool, err error) {
	kind, r, err := t.conn.Reader(context.Background()) // a context that could end would cost a timer for each message
	if err != nil {
		return nil, false, err
	}
	b := messages.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= 4*pullBytes {
			b.Reset()
			messages.Put(b)
		}
	}()
	if _, err = io.Copy(b, r); err != nil {
		return nil, false, err
	}
	return bytes.Clone(b.Bytes()), kind == websocket.MessageBinary, nil
}

// close says goodbye in a goroutine of its own: the closing handshake may take five seconds.
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

// closeWait is how long a client has to answer a close.
const closeWait = 5 * time.Second

// closeHandshake is the closing handshake. coder/websocket waits for the rest of a frame that has begun without a limit of its own.
func (t *webSocket) closeHandshake(code websocket.StatusCode, reason string) {
	_ = t.net.SetReadDeadline(time.Now().Add(closeWait)) // fails only with the connection
	_ = t.conn.Close(code, reason)
}

func (t *webSocket) abort() {
	t.closing.Store(true)
	_ = t.net.Conn.Close()
}

// pingFrame asks a silent client for a sign of life.
var pingFrame = seal(frameBuffer(0), opPing)

// tick pings a client that is silent, and gives up one that stays so.
func (t *webSocket) tick(now time.Time) {
	switch t.server.onSilence(now, t.net.lastRead(), t.pinged) {
	case sendPing:
		t.pinged = now
		t.socket.post(pingFrame)
	case closeSilent:
		t.close(closeProtocol, "nothing was heard for too long")
	}
}

// silenceAction is what is done about a client's.
type silenceAction int

const (
	waitMore silenceAction = iota
	sendPing
	closeSilent
)

// onSilence says what to do about a client that was last heard and last pinged at those times. One that has been silent for half the timeout is
// pinged, and one that has been for all of it is given up: nobody is there any more, or the network lost the connection without a word. But it
// has always a quarter of the timeout to answer: after a pause of the whole process, every client seems to have been silent.
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
