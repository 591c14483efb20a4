package hubtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxPipeBytes is how many bytes a pipe buffers at most.
const maxPipeBytes = 64 << 10

// pipe is one direction of a connection.
type pipe struct {
	mu                         sync.Mutex
	changed                    chan struct{} // closed and replaced on every change
	bytes                      []byte
	writerClosed, readerClosed bool

	read, write time.Time // deadlines; zero: none
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

// change runs f with the lock, and wakes all waiters.
func (p *pipe) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait unlocks p.mu until the pipe changes or the deadline passes.
func (p *pipe) wait(deadline time.Time) error {
	var due <-chan time.Time
	if !deadline.IsZero() {
		remaining := time.Until(deadline)
		if remaining <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(remaining)
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

// readInto reads up to len(b) bytes, and waits for the first.
func (p *pipe) readInto(b []byte) (n int, err error) {
	p.change(func() {
		for len(p.bytes) == 0 && !p.writerClosed && !p.readerClosed && err == nil {
			err = p.wait(p.read)
		}
		switch {
		case p.readerClosed:
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

// writeAll writes all of b. It waits while the buffer is full.
func (p *pipe) writeAll(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		p.change(func() {
			for len(p.bytes) >= maxPipeBytes && !p.writerClosed && !p.readerClosed && err == nil {
				err = p.wait(p.write)
			}
			switch {
			case err != nil:
			case p.writerClosed:
				err = net.ErrClosed
			case p.readerClosed:
				err = syscall.EPIPE
			case !p.write.IsZero() && !time.Now().Before(p.write):
				err = os.ErrDeadlineExceeded
			default:
				part := b[n:min(len(b), n+maxPipeBytes-len(p.bytes))]
				p.bytes = append(p.bytes, part...)
				n += len(part)
			}
		})
	}
	return n, err
}

// pipeEnd is one end of a connection made of two pipes.
type pipeEnd struct{ in, out *pipe }

func (e *pipeEnd) Read(b []byte) (int, error)  { return e.in.readInto(b) }
func (e *pipeEnd) Write(b []byte) (int, error) { return e.out.writeAll(b) }

func (e *pipeEnd) Close() error {
	e.in.change(func() { e.in.readerClosed = true })
	e.out.change(func() { e.out.writerClosed = true })
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
