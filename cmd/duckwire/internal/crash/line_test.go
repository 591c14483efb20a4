package crash_test

import (
	"net"
	"sync"
	"testing"
)

// line is a network between two programs: a relay of TCP that can go dead. A dead one takes what it is sent, as long as buffers hold, and delivers
// nothing until it is mended; nobody is told that it is dead.
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

// cut makes the line dead, or alive again.
func (l *line) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
	l.mended.Broadcast()
}

// pass waits while the line is dead. False means that it is no more.
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

// relay hands on what comes from one side, until either ends.
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
