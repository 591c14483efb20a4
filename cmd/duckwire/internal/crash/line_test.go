package crash_test

import (
	"net"
	"sync"
	"testing"
)

// line is a TCP relay that can be cut. While it is cut it accepts data until the buffers are full, delivers nothing,
// and reports no error.
type line struct {
	addr, target string

	mu     sync.Mutex
	mended *sync.Cond
	dead   bool
	over   bool
	conns  []net.Conn
	work   sync.WaitGroup
}

func newLine(t testing.TB, target string) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: ln.Addr().String(), target: target}
	l.mended = sync.NewCond(&l.mu)
	l.work.Go(func() { l.accept(ln) })
	t.Cleanup(func() {
		ln.Close()
		l.mu.Lock()
		l.over = true
		for _, conn := range l.conns {
			conn.Close()
		}
		l.mended.Broadcast()
		l.mu.Unlock()
		l.work.Wait()
	})
	return l
}

// cut cuts the line, or restores it.
func (l *line) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
	l.mended.Broadcast()
}

// pass waits while the line is cut. It returns false if the line was closed.
func (l *line) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.dead && !l.over {
		l.mended.Wait()
	}
	return !l.over
}

func (l *line) accept(ln net.Listener) {
	for {
		from, err := ln.Accept()
		if err != nil {
			return
		}
		l.work.Go(func() {
			defer from.Close()
			to, err := net.Dial("tcp", l.target)
			if err != nil {
				return
			}
			l.mu.Lock()
			if l.over {
				l.mu.Unlock()
				to.Close()
				return
			}
			l.conns = append(l.conns, from, to)
			l.mu.Unlock()
			l.work.Go(func() { l.relay(to, from) })
			l.relay(from, to)
		})
	}
}

// relay copies data from one side to the other until either is closed.
func (l *line) relay(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if !l.pass() || err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
