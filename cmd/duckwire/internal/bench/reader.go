package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// readBuffer is the size of a reader's buffer.
const readBuffer = 4 << 10

// reader is a subscriber: a plain connection whose events are counted and checked against their numbers.
type reader struct {
	feed    *feed
	latency *histogram
	got     atomic.Uint64 // the number of the newest event
	bytes   atomic.Uint64 // of the body

	conn   net.Conn
	buf    []byte
	rest   []byte // an incomplete block, or part of the response's head
	chunks *dechunker
	lastID string // the position of the newest event
	keepID bool   // record lastID
	joined bool   // on a WebSocket: the join was answered
}

var (
	chunkedMark = []byte("\r\ntransfer-encoding: chunked\r\n")
	headEnd     = []byte("\r\n\r\n")
)

// connect requests the feed after lastID and returns when the response has begun.
func (r *reader) connect(ctx context.Context, t *Target) error {
	conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return err
	}
	r.conn, r.rest, r.chunks, r.joined = conn, r.rest[:0], nil, false
	if r.buf == nil {
		r.buf = make([]byte, readBuffer)
	}
	_ = conn.SetDeadline(time.Now().Add(callTimeout))
	if _, err = conn.Write(append(r.ask(t), "\r\n"...)); err == nil {
		err = r.head()
	}
	if err == nil && r.feed.topic != "" {
		err = r.join()
	}
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("GET %s: %w", r.feed.read, err)
	}
	return conn.SetDeadline(time.Time{})
}

// ask returns the head of the request.
func (r *reader) ask(t *Target) []byte {
	ask := t.appendHead(nil, "GET", r.feed.read)
	if r.feed.topic != "" {
		return append(ask, upgrade...)
	}
	ask = append(ask, "Accept: text/event-stream\r\n"...)
	if r.lastID != "" {
		ask = fmt.Appendf(ask, "Last-Event-ID: %s\r\n", r.lastID)
	}
	return ask
}

// head reads the response's head, and processes the part of the body that was read with it.
func (r *reader) head() error {
	for {
		n, err := r.conn.Read(r.buf)
		r.rest = append(r.rest, r.buf[:n]...)
		i := bytes.Index(r.rest, headEnd)
		if i < 0 {
			if err != nil {
				return err
			}
			continue
		}
		head := r.rest[:i+2]
		if status, err := parseStatus(head); err != nil || status != 200 && status != 101 {
			return fmt.Errorf("%s", r.rest)
		}
		if bytes.Contains(bytes.ToLower(head), chunkedMark) {
			r.chunks = &dechunker{}
		}
		body := append([]byte(nil), r.rest[i+len(headEnd):]...)
		r.rest = r.rest[:0]
		return r.take(body)
	}
}

// run reads until the connection ends. It returns nil if crowd.close closed the connection.
func (r *reader) run() error {
	for {
		n, err := r.conn.Read(r.buf)
		if n > 0 {
			if err := r.take(r.buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err == io.EOF:
			return fmt.Errorf("the server closed the connection after event %d", r.got.Load())
		case err != nil:
			return err
		}
	}
}

// take processes bytes from the connection. It may overwrite b.
func (r *reader) take(b []byte) error {
	if r.chunks != nil {
		body, done, err := r.chunks.strip(b)
		if err != nil {
			return err
		}
		if b = body; done {
			return fmt.Errorf("the server ended the answer after event %d", r.got.Load())
		}
	}
	r.bytes.Add(uint64(len(b)))
	if len(r.rest) > 0 {
		r.rest = append(r.rest, b...)
		b = r.rest
	}
	now := time.Now().UnixNano()
	if r.feed.topic != "" {
		rest, err := r.frames(b, now)
		r.rest = append(r.rest[:0], rest...)
		return err
	}
	for {
		i := bytes.Index(b, blockEnd)
		if i < 0 {
			break
		}
		if err := r.block(b[:i+1], now); err != nil {
			return err
		}
		b = b[i+len(blockEnd):]
	}
	r.rest = append(r.rest[:0], b...)
	return nil
}

// block processes a complete block.
func (r *reader) block(b []byte, now int64) error {
	got := r.got.Load()
	n, err := r.feed.parse(b, got+1)
	if err == errNoEvent {
		return nil
	}
	if err != nil {
		return err
	}
	for i := got + 1; i <= got+n; i++ {
		r.latency.add(time.Duration(now - r.feed.sent[i%sentRing].Load()))
	}
	if r.keepID && r.feed.topic != "" {
		r.lastID = framePosition(b)
	} else if r.keepID {
		if i := bytes.LastIndex(b, idMark); i >= 0 {
			id, _, _ := bytes.Cut(b[i+len(idMark):], newline)
			r.lastID = string(id)
		}
	}
	r.got.Store(got + n)
	return nil
}
