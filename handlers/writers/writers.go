// Package writers writes to many connections with few goroutines: one for each processor, and none while there is
// nothing to write. They never wait for a client: what a connection does not accept at once is left to a goroutine of
// that connection. So an event for a thousand readers wakes two goroutines on two processors, and a client that does
// not read delays no other.
package writers

import (
	"runtime"
	"sync"
)

// A Job is a connection with data to write.
type Job interface {
	// Flush writes the data without waiting for the client: with y, or by leaving it to a goroutine of the connection.
	// The job must ensure, with a Turn, that only one goroutine at a time calls it. It must not panic.
	Flush(y *Try)
}

// Pool has the writer goroutines of one server. The zero value is ready for use. Safe for concurrent use.
type Pool struct {
	mu      sync.Mutex
	ready   []Job // the newest jobs, oldest first
	next    []Job // the jobs before them, oldest first
	taken   int   // how many jobs of next are taken
	running int
	still   chan struct{} // closed when the last goroutine ends; nil: nobody waits
}

// share is the maximum number of jobs that a goroutine takes at a time.
const share = 32

// Add schedules a job to be flushed. A job that is added twice before it is flushed is flushed twice.
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

// Wait returns when no goroutine of the pool runs, and every job that was added has been flushed.
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

// take moves ready jobs into list. If there are none, the caller must end. Its cost does not depend on the number of
// jobs, because the remaining ones are not moved.
func (p *Pool) take(list []Job) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == len(p.next) {
		p.next, p.ready, p.taken = p.ready, p.next[:0], 0
	}
	n := copy(list, p.next[p.taken:])
	clear(p.next[p.taken : p.taken+n]) // else finished jobs stay in memory
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
