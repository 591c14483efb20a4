// Package writers writes to many connections with few goroutines: as many as there are processors, and none while
// there is nothing to write. They never wait for a client: what a connection does not take at once is left to a
// goroutine of that connection. So an event for a thousand readers wakes two goroutines on two processors, and a
// client that takes nothing delays nobody else.
package writers

import (
	"runtime"
	"sync"
)

// A Job is a connection that has something to be written.
type Job interface {
	// Flush writes it without waiting for the client: with y, or by leaving it to a goroutine of the connection.
	// The job sees to it, with a Turn, that one goroutine at a time calls it. It must not panic.
	Flush(y *Try)
}

// Pool holds the goroutines of one server. The zero value is ready. Safe for concurrent use.
type Pool struct {
	mu      sync.Mutex
	ready   []Job // those that came last, oldest first
	next    []Job // those before them, oldest first: what is taken next begins at taken
	taken   int   // how many of next are taken
	running int
	still   chan struct{} // closed when the last goroutine ends, where somebody waits for that
}

// share is how many jobs a goroutine takes at a time.
const share = 32

// Add has a job flushed soon. Where one job is added twice before it is flushed, it is flushed twice.
func (p *Pool) Add(j Job) {
	p.mu.Lock()
	p.ready = append(p.ready, j)
	start := p.running < runtime.GOMAXPROCS(0)
	if start {
		p.running++
	}
	p.mu.Unlock()
	if start {
		go p.run() // Wait waits for it
	}
}

// Wait returns when no goroutine of the pool runs: when every job that was added has been flushed.
func (p *Pool) Wait() {
	for {
		p.mu.Lock()
		if p.running == 0 {
			p.mu.Unlock()
			return
		}
		if p.still == nil {
			p.still = make(chan struct{})
		}
		still := p.still
		p.mu.Unlock()
		<-still
	}
}

// run flushes until no job is ready.
func (p *Pool) run() {
	y := newTry()
	var mine [share]Job
	for {
		n := p.take(mine[:])
		if n == 0 {
			return
		}
		for i := range mine[:n] {
			mine[i].Flush(y)
			mine[i] = nil
		}
	}
}

// take moves ready jobs into list, or ends the caller's running. It takes as long for one job among many as among few:
// the others stay where they are.
func (p *Pool) take(list []Job) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == len(p.next) {
		p.next, p.ready, p.taken = p.ready, p.next[:0], 0
	}
	n := copy(list, p.next[p.taken:])
	clear(p.next[p.taken : p.taken+n]) // or jobs that are done stay in memory
	p.taken += n
	if n == 0 {
		p.running--
		if p.running == 0 && p.still != nil {
			close(p.still)
			p.still = nil
		}
	}
	return n
}
