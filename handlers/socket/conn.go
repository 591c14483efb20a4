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

// The sizes of the buffers of a hijacked connection. net/http's own would be 4 KiB each way for the connection's whole life. Long messages are
// read past the buffer; what is written through it are control frames, of at most 2+125 bytes.
const (
	readBuffer  = 256
	writeBuffer = 128
)

// hijackWriter gives coder/websocket a connection of ours when it hijacks: with small buffers, and with writes that we see.
type hijackWriter struct {
	http.ResponseWriter
	timeout time.Duration
	conn    *conn
}

// Unwrap is for http.ResponseController.
func (w *hijackWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker. What the client sent right behind its handshake is kept.
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	w.conn = newConn(c, w.timeout)
	w.conn.early = append([]byte(nil), early...)
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, readBuffer), bufio.NewWriterSize(w.conn, writeBuffer)), nil
}

// conn is the connection under a WebSocket. coder/websocket reads from it, and writes to it nothing but control frames, each in one Write;
// messages go out by send, framed already. So the two never mix within a frame.
type conn struct {
	net.Conn
	timeout time.Duration // for each write: how long the client may take no bytes
	readAt  atomic.Int64  // when bytes last came, in Unix nanoseconds
	early   []byte        // read before the hijacking

	writing sync.Mutex      // held while bytes go out
	raw     syscall.RawConn // to write without waiting; nil where there is none, such as with TLS

	mu      sync.Mutex
	control []byte // control frames that wait for the end of a write
	pong    []byte // likewise: the answer to the newest ping alone (RFC 6455 §5.5.3), so that nobody fills the memory with pings
	closed  bool   // the close frame is among them, or out: nothing may follow it (RFC 6455 §5.5.1)
}

func newConn(under net.Conn, timeout time.Duration) *conn {
	c := &conn{Conn: under, timeout: timeout, raw: writers.Raw(under)}
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

// Write takes one control frame. It does not wait for a message that is on its way to a slow client: the frame then goes out behind it.
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

// sendControl sends the control frames that wait, unless somebody writes: then that one does it.
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

// writeResult is what became of a write that does not wait.
type writeResult uint8

const (
	allWritten    writeResult = iota // and no control frame waits either
	partlyWritten                    // the rest, which may begin within a frame, is for finish: until then nobody else can write
	notWritten                       // somebody writes a control frame, or nothing can be written without waiting: the whole is for send
)

// try writes b as far as the connection takes it without waiting. After the close frame it only pretends to.
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

// finish writes the rest that try has begun, at the client's speed.
func (c *conn) finish(rest []byte) error {
	err := c.write(rest)
	c.writing.Unlock()
	if err != nil {
		return err
	}
	return c.sendControl()
}

// send writes all of b, at the client's speed. After the close frame it only pretends to.
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

// write writes all of b, as long as the client takes some of it within each timeout. No deadline is left behind: it would fail a write that
// comes later.
func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout)) // fails only with the connection
		n, err := c.Conn.Write(b)
		b = b[n:]
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return c.SetWriteDeadline(time.Time{})
}

var _ io.ReadWriter = (*conn)(nil)
