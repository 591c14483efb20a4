package socket

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
)

// writers are the few goroutines that write to all WebSockets of a server: as many as there are processors, and none while there is nothing to
// be written. They never wait for a client: what a connection does not take at once is left to a goroutine of that socket's own. So an event
// for a thousand sockets wakes two goroutines, not a thousand, and a stuck client holds up nobody.
type writers struct {
	server *Server

	mu      sync.Mutex
	ready   []*webSocket // whose writer is to run, oldest first
	running int
}

// share is how many sockets a writer takes at a time.
const share = 32

// add has a socket's writer run soon.
func (w *writers) add(t *webSocket) {
	w.mu.Lock()
	w.ready = append(w.ready, t)
	start := w.running < runtime.GOMAXPROCS(0)
	if start {
		w.running++
	}
	w.mu.Unlock()
	if start {
		w.server.work.Go(w.run) // the reader of t is among the work, and waits for its writer
	}
}

// run writes until no socket is ready.
func (w *writers) run() {
	p := borrowPull()
	defer p.giveBack()
	p.bindTry()
	var mine [share]*webSocket
	for {
		n := w.take(mine[:])
		if n == 0 {
			return
		}
		for i := range mine[:n] {
			mine[i].flush(p)
			mine[i] = nil
		}
	}
}

// take moves ready sockets into list, or ends the caller's running.
func (w *writers) take(list []*webSocket) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := copy(list, w.ready)
	rest := copy(w.ready, w.ready[n:])
	clear(w.ready[rest:])
	w.ready = w.ready[:rest]
	if n == 0 {
		w.running--
	}
	return n
}

// try is a write that does not wait. It is kept between writes, because a function made for each would be an allocation.
type try struct {
	call func(fd uintptr) bool
	buf  []byte
	n    int
	err  error
}

func (p *pull) bindTry() {
	if p.try.call == nil {
		p.try.call = p.try.do
	}
}

func (y *try) do(fd uintptr) bool {
	for {
		y.n, y.err = syscall.Write(int(fd), y.buf)
		if y.err != syscall.EINTR {
			return true
		}
	}
}

// write returns how much of b the connection took at once. An error is the connection's end.
func (y *try) write(raw syscall.RawConn, b []byte) (int, error) {
	y.buf = b
	err := raw.Write(y.call)
	y.buf = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(y.err, syscall.EAGAIN):
		return 0, nil
	case y.err != nil:
		return 0, y.err
	}
	return y.n, nil
}
