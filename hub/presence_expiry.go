package hub

import (
	"container/heap"
	"context"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// presenceExpiry ends presences whose grace period is over. All topics of a hub share one heap, ordered by the time at
// which the metas end, one timer and one goroutine (run). No other lock is taken under mu.
type presenceExpiry struct {
	mu    lock.Mutex
	queue expiryHeap
	wake  log.Wake // is signalled when the first meta of the heap is another one
}

func (e *presenceExpiry) init() { e.wake.C = make(chan struct{}, 1) }

// add adds a meta. Its until must not change before it is removed.
func (e *presenceExpiry) add(m *presenceMeta) {
	e.mu.Lock()
	defer e.mu.Unlock()
	heap.Push(&e.queue, m)
	if m.heapIndex == 0 {
		e.wake.Signal()
	}
}

// remove removes a meta, if it was added.
func (e *presenceExpiry) remove(m *presenceMeta) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if m.heapIndex >= 0 {
		heap.Remove(&e.queue, m.heapIndex)
	}
}

// due removes and returns the first meta if it is due. Otherwise it returns nil, and how long until the first one is; 0
// if there is none.
func (e *presenceExpiry) due(now time.Time) (m *presenceMeta, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil, 0
	}
	if wait = e.queue[0].until.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&e.queue).(*presenceMeta), 0
}

// run ends presences when their grace period is over, until ctx is done.
func (e *presenceExpiry) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait := e.expireDue(time.Now()); wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake.C:
		case <-timer.C:
		}
	}
}

// expireDue ends the presences that are due, and returns how long until the next one is; 0 if there is none.
func (e *presenceExpiry) expireDue(now time.Time) time.Duration {
	for {
		m, wait := e.due(now)
		if m == nil {
			return wait
		}
		m.table.expire(m, now)
	}
}

// expiryHeap orders metas by the time at which they end, and stores their indexes in them. It implements
// heap.Interface.
type expiryHeap []*presenceMeta

func (q expiryHeap) Len() int           { return len(q) }
func (q expiryHeap) Less(i, j int) bool { return q[i].until.Before(q[j].until) }

func (q expiryHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].heapIndex, q[j].heapIndex = i, j
}

// Push implements heap.Interface.
func (q *expiryHeap) Push(x any) {
	m := x.(*presenceMeta)
	m.heapIndex = len(*q)
	*q = append(*q, m)
}

// Pop implements heap.Interface.
func (q *expiryHeap) Pop() any {
	last := len(*q) - 1
	m := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	m.heapIndex = -1
	return m
}
