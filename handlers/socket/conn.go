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
	"time"
)

// connBuffer is the size of the buffers of a hijacked connection. net/http's own would be 4 KiB each way for the connection's whole life.
const connBuffer = 512

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
	w.conn = &conn{Conn: c, timeout: w.timeout, early: append([]byte(nil), early...)}
	w.conn.hear()
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, connBuffer), bufio.NewWriterSize(w.conn, connBuffer)), nil
}

// conn is the connection under a WebSocket. coder/websocket reads from it, and writes to it nothing but control frames, each in one Write;
// messages go out by send, framed already. So the two never mix within a frame.
type conn struct {
	net.Conn
	timeout time.Duration // for each write: how long the client may take no bytes
	heard   atomic.Int64  // when bytes last came, in Unix nanoseconds
	early   []byte        // read before the hijacking

	writing  sync.Mutex // held while bytes go out
	deadline time.Time  // that is set; guarded by writing

	mu      sync.Mutex
	control []byte // control frames that wait for the end of a write
	pong    []byte // likewise: the answer to the newest ping alone (RFC 6455 §5.5.3), so that nobody fills the memory with pings
	closed  bool   // the close frame is among them, or out: nothing may follow it (RFC 6455 §5.5.1)
}

func (c *conn) hear() { c.heard.Store(time.Now().UnixNano()) }

func (c *conn) lastHeard() time.Time { return time.Unix(0, c.heard.Load()) }

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
		c.hear()
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

// send writes whole frames. After the close frame it only pretends to.
func (c *conn) send(b []byte) error {
	c.writing.Lock()
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	var err error
	if !closed {
		err = c.write(b)
	}
	c.writing.Unlock()
	if err != nil {
		return err
	}
	return c.sendControl()
}

// write writes all of b, as long as the client takes some of it within each timeout. The deadline is moved at most once a second, or four
// times in a short timeout: it costs as much as a tenth of the write.
func (c *conn) write(b []byte) error {
	for {
		if now := time.Now(); c.deadline.Sub(now) < c.timeout-min(time.Second, c.timeout/4) {
			c.deadline = now.Add(c.timeout)
			_ = c.SetWriteDeadline(c.deadline) // fails only with the connection
		}
		n, err := c.Conn.Write(b)
		if err == nil {
			return nil
		}
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

var _ io.ReadWriter = (*conn)(nil)
