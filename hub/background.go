package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Background owns the goroutines of a hub, and is the mirror.Host of all mirrors. Nothing else is locked under its
// lock, so a goroutine may be started with any lock held.
type Background struct {
	ctx  context.Context // is cancelled when the hub closes
	work sync.WaitGroup

	mu     lock.Mutex
	closed bool // TryGo starts nothing any more
}

// Go runs f in a goroutine, for which Close waits. f may wait for streams, which Close ends, and otherwise must return
// when Done is closed. Go must not be called once Close may have begun: only goroutines that Close or the caller of
// Close waits for may call it. All others call TryGo.
func (b *Background) Go(f func()) { b.work.Go(f) }

// TryGo implements mirror.Host: it runs f in a goroutine, unless the hub closes.
func (b *Background) TryGo(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.work.Go(f)
	return true
}

// Pause waits. It returns false, at once, when the hub closes.
func (b *Background) Pause(d time.Duration) bool {
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
func (b *Background) PauseAfter(failures int) bool {
	d := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	return b.Pause(d/2 + rand.N(d/2))
}

// Done is closed when Close has ended the streams of this node and begins to end the hub's goroutines.
func (b *Background) Done() <-chan struct{} { return b.ctx.Done() }

// isClosing reports whether Close has begun to end the hub's goroutines.
func (b *Background) isClosing() bool { return b.ctx.Err() != nil }

// close stops TryGo from starting more.
func (b *Background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// Background returns the owner of the hub's goroutines.
func (h *Hub) Background() *Background { return &h.background }
