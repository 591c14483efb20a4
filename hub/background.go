package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// background owns the goroutines of a hub, and is the mirror.Host of all mirrors. Nothing else is locked under its
// lock, so a goroutine may be started with any lock held.
type background struct {
	ctx  context.Context // is cancelled when the hub closes
	work sync.WaitGroup

	mu     lock.Mutex
	closed bool // TryGo starts nothing any more
}

// Go runs f in a goroutine. Only callers for which somebody waits may use it: the hub's own goroutines, and those who
// use the hub and end before Close.
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

// Pause waits. It returns false, at once, when the hub closes.
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

// PauseAfter implements mirror.Host: an exponential backoff with jitter, of up to two seconds. Its result is that of
// Pause.
func (b *background) PauseAfter(failures int) bool {
	d := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	return b.Pause(d/2 + rand.N(d/2))
}

// isClosing reports whether Close has begun to end the hub's goroutines.
func (b *background) isClosing() bool { return b.ctx.Err() != nil }

// close stops TryGo from starting more.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// RunInBackground runs f in a goroutine for which Close waits. f may wait for streams, which Close ends, and for
// nothing else. It must not be called once Close may have begun.
func (h *Hub) RunInBackground(f func()) { h.background.Go(f) }

// Closing is closed when Close has ended the streams of this node and begins to end the hub's goroutines.
func (h *Hub) Closing() <-chan struct{} { return h.ctx.Done() }

// Pause waits. It returns false, at once, when the hub closes.
func (h *Hub) Pause(d time.Duration) bool { return h.background.Pause(d) }

// PauseAfter waits before a retry after so many failures in a row: an exponential backoff with jitter, of up to two
// seconds. Its result is that of Pause.
func (h *Hub) PauseAfter(failures int) bool { return h.background.PauseAfter(failures) }
