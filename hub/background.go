package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// background owns the goroutines of a hub. Its lock is taken last and is no other part's, so whoever begins a goroutine
// may hold any lock. It is the mirror.Host of all mirrors.
type background struct {
	ctx  context.Context // ends when the hub closes
	work sync.WaitGroup

	mu     lock.Mutex
	closed bool // TryGo begins nothing any more
}

// Go runs f in a goroutine. Only what is waited for itself may call it: the hub's own goroutines, and those who use the
// hub.
func (b *background) Go(f func()) { b.work.Go(f) }

// TryGo implements mirror.Host: it runs f in a goroutine, unless the hub closes.
func (b *background) TryGo(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.work.Go(f)
	return true
}

// Pause waits, and reports false where the hub closes meanwhile.
func (b *background) Pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.ctx.Done():
		return false
	}
}

// PauseAfter implements mirror.Host: it waits after so many failures in a row, up to two seconds. It reports what Pause
// does.
func (b *background) PauseAfter(failures int) bool {
	d := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	return b.Pause(d/2 + rand.N(d/2))
}

// close lets TryGo begin nothing more.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// RunInBackground runs f in a goroutine of the hub's, for which Close waits. f may wait for streams, which Close ends,
// and for nothing else. Nobody may call it once Close may have begun.
func (h *Hub) RunInBackground(f func()) { h.background.Go(f) }

// Closing is closed when Close begins to end what is left, after the completions of this node.
func (h *Hub) Closing() <-chan struct{} { return h.ctx.Done() }

// Pause waits, and reports false where the hub closes meanwhile.
func (h *Hub) Pause(d time.Duration) bool { return h.background.Pause(d) }

// PauseAfter waits after so many failures in a row: longer each time, up to two seconds, and never the same time twice.
// It reports what Pause does.
func (h *Hub) PauseAfter(failures int) bool { return h.background.PauseAfter(failures) }
