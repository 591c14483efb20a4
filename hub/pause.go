package hub

import (
	"math/rand/v2"
	"time"
)

// Pause waits, and reports false where the hub closes meanwhile.
func (h *Hub) Pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// PauseAfter waits after so many failures in a row: longer each time, up to two seconds, and not all as long. It reports what Pause does.
func (h *Hub) PauseAfter(failures int) bool {
	d := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	return h.Pause(d/2 + rand.N(d/2))
}

// goes runs f in a goroutine of the hub's, unless the hub closes.
func (h *Hub) goes(f func()) bool {
	h.topicMu.RLock()
	defer h.topicMu.RUnlock()
	if h.mirrorsOver {
		return false
	}
	h.work.Go(f)
	return true
}
