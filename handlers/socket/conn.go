package socket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
)

// Buffer sizes of a hijacked connection. net/http's buffers would use 4 KiB in each direction for the connection's
// whole life. Messages longer than the read buffer bypass it. Only control frames, at most 2+125 bytes, go through the
// write buffer.
const (
	readBuffer  = 256
	writeBuffer = 128
)

// hijackWriter makes coder/websocket hijack a conn: a connection with small buffers whose writes this package controls.
type hijackWriter struct {
	http.ResponseWriter
	timeout time.Duration
	conn    *conn
}

// Unwrap supports http.ResponseController.
func (w *hijackWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker. Bytes that the client sent right after its handshake are preserved.
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	w.conn = newConn(c, w.timeout)
	w.conn.early = append([]byte(nil), early...)
	brw = bufio.NewReadWriter(bufio.NewReaderSize(w.conn, readBuffer), bufio.NewWriterSize(w.conn, writeBuffer))
	return w.conn, brw, nil
}

// conn is the network connection of a WebSocket. coder/websocket reads from it, and writes only control frames to it,
// each in one Write. Messages are framed already and are written with send. So a control frame never lands within
// another frame.
type conn struct {
	net.Conn
	timeout time.Duration // how long the client may take to accept a piece (writers.PieceBytes)
	readAt  atomic.Int64  // when bytes last arrived, in Unix nanoseconds
	early   []byte        // bytes received before the hijack

	writing sync.Mutex      // locked while bytes are written
	raw     syscall.RawConn // for non-blocking writes; nil where they are not possible, as with TLS

	mu      sync.Mutex
	control []byte // control frames that wait until a write ends
	pong    []byte // answer to the newest ping; older pings get none (RFC 6455 §5.5.3), which bounds the memory
	closed  bool   // the close frame is queued or sent: nothing may follow it (RFC 6455 §5.5.1)
}

func newConn(under net.Conn, timeout time.Duration) *conn {
	c := &conn{Conn: under, timeout: timeout, raw: writers.Raw(under)}
	limitUnsent(under)
	c.markRead()
	return c
}

func (c *conn) markRead() { c.readAt.Store(time.Now().UnixNano()) }

func (c *conn) lastRead() time.Time { return time.Unix(0, c.readAt.Load()) }

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	c.early = nil
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.markRead()
	}
	return n, err
}

// Write queues one control frame. It does not block while a message is written to a slow client: the frame is then sent
// after that message.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if b[0]&15 == opPong {
		c.pong = append(c.pong[:0], b...)
	} else {
		c.control = append(c.control, b...)
	}
	c.closed = c.closed || b[0]&15 == opClose
	c.mu.Unlock()
	return len(b), c.sendControl()
}

// sendControl sends the queued control frames. If another goroutine is writing, that one sends them.
func (c *conn) sendControl() error {
	for c.hasControl() && c.writing.TryLock() {
		c.mu.Lock()
		b := append(c.pong, c.control...)
		c.pong, c.control = nil, nil
		c.mu.Unlock()
		err := c.write(b)
		c.writing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) hasControl() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.control)+len(c.pong) > 0
}

// writeResult is the result of a non-blocking write.
type writeResult uint8

const (
	allWritten    writeResult = iota // and no control frame is queued
	partlyWritten                    // finish must write the rest; until then nobody else can write
	notWritten                       // nothing was written: send must write everything
)

// try writes as much of b as the connection accepts without blocking. After the close frame it discards b.
func (c *conn) try(y *writers.Try, b []byte) (rest []byte, how writeResult, err error) {
	switch {
	case len(b) == 0:
		return nil, allWritten, nil
	case c.raw == nil || !c.writing.TryLock():
		return b, notWritten, nil
	case c.isClosed():
		c.writing.Unlock()
		return nil, allWritten, nil
	}
	n, err := y.Write(c.raw, b)
	if err != nil || n == len(b) && !c.hasControl() {
		c.writing.Unlock()
		return nil, allWritten, err
	}
	return b[n:], partlyWritten, nil
}

// finish writes the rest of a write that try began. It blocks until the client has taken it.
func (c *conn) finish(rest []byte) error {
	err := c.write(rest)
	c.writing.Unlock()
	if err != nil {
		return err
	}
	return c.sendControl()
}

// send writes all of b. It blocks until the client has taken it. After the close frame it discards b.
func (c *conn) send(b []byte) error {
	c.writing.Lock()
	if c.isClosed() {
		b = nil
	}
	return c.finish(b)
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// write writes all of b, in pieces, because TLS cannot go on after a deadline that passed within a write. It fails if the
// client accepts no byte, or with TLS no piece, within a timeout. It clears the deadline at the end, because an expired
// deadline would fail a later write.
func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout)) // fails only with the connection
		n, err := c.Conn.Write(b[:min(len(b), writers.PieceBytes)])
		b = b[n:]
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return c.SetWriteDeadline(time.Time{})
}

var _ io.ReadWriter = (*conn)(nil)
