package hubtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeRoom is how many bytes a pipe buffers at most.
const pipeRoom = 64 << 10

// pipe is one direction of a connection.
type pipe struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced on every change
	bytes   []byte
	ended   bool // the writer has closed
	left    bool // the reader has closed

	read, write time.Time // deadlines; zero: none
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

// change runs how with the lock, and wakes all waiters.
func (p *pipe) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait unlocks p.mu until the pipe changes or the deadline passes.
func (p *pipe) wait(deadline time.Time) error {
	var due <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		due = timer.C
	}
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
	case <-due:
	}
	return nil
}

// take reads up to len(b) bytes, and waits for the first.
func (p *pipe) take(b []byte) (n int, err error) {
	p.change(func() {
		for len(p.bytes) == 0 && !p.ended && !p.left && err == nil {
			err = p.wait(p.read)
		}
		switch {
		case p.left:
			err = net.ErrClosed
		case err != nil:
		case !p.read.IsZero() && !time.Now().Before(p.read):
			err = os.ErrDeadlineExceeded
		case len(p.bytes) > 0:
			n = copy(b, p.bytes)
			p.bytes = p.bytes[n:]
		default:
			err = io.EOF
		}
	})
	return n, err
}

// give writes all of b, and waits for room in the buffer.
func (p *pipe) give(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		p.change(func() {
			for len(p.bytes) >= pipeRoom && !p.ended && !p.left && err == nil {
				err = p.wait(p.write)
			}
			switch {
			case err != nil:
			case p.ended:
				err = net.ErrClosed
			case p.left:
				err = syscall.EPIPE
			case !p.write.IsZero() && !time.Now().Before(p.write):
				err = os.ErrDeadlineExceeded
			default:
				more := b[n:min(len(b), n+pipeRoom-len(p.bytes))]
				p.bytes = append(p.bytes, more...)
				n += len(more)
			}
		})
	}
	return n, err
}

// pipeEnd is one end of a connection made of two pipes.
type pipeEnd struct{ in, out *pipe }

func (e *pipeEnd) Read(b []byte) (int, error)  { return e.in.take(b) }
func (e *pipeEnd) Write(b []byte) (int, error) { return e.out.give(b) }

func (e *pipeEnd) Close() error {
	e.in.change(func() { e.in.left = true })
	e.out.change(func() { e.out.ended = true })
	return nil
}

func (e *pipeEnd) SetReadDeadline(at time.Time) error {
	e.in.change(func() { e.in.read = at })
	return nil
}

func (e *pipeEnd) SetWriteDeadline(at time.Time) error {
	e.out.change(func() { e.out.write = at })
	return nil
}

func (e *pipeEnd) SetDeadline(at time.Time) error {
	_ = e.SetReadDeadline(at)
	return e.SetWriteDeadline(at)
}

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

func (*pipeEnd) LocalAddr() net.Addr  { return loopback }
func (*pipeEnd) RemoteAddr() net.Addr { return loopback }
