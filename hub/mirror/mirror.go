// Package mirror keeps a replica of a log that other nodes write: a topic, a stream, a presence table or a queue.
//
// Changes arrive as messages, which may be late, duplicated or lost. So messages are only an optimization: a change
// that continues the replica is applied, and in any doubt the source is read again.
package mirror

import (
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// Replica is what a Mirror keeps equal to its source. C is one change, as messages carry it.
type Replica[C any] interface {
	// Follow subscribes to changes. It calls heard with each change, and gap when changes may have been missed, which
	// includes the beginning of the subscription. Both may be called from any goroutine, and return soon. stop ends the
	// subscription; after it has returned, only a call that was already running may still go on.
	Follow(heard func(C), gap func()) (stop func())
	// Load reads the source and makes the replica equal to it. It runs in a goroutine of the mirror's, one call at a
	// time, and never at the same time as Take.
	Load() error
	// Take applies a change if it continues the replica. It returns false if it does not: an earlier change is missing,
	// or the change is of another epoch of the log. A change that the replica already has is ignored, and Take returns
	// true. covered says that the change was heard before the last load began, so that load has read it or something
	// newer. Take is called with the mirror locked.
	Take(change C, covered bool) bool
}

// Host runs the goroutines of mirrors.
type Host interface {
	// TryGo runs f in a new goroutine. It returns false, and does not run f, once the host is closing.
	TryGo(f func()) bool
	// PauseAfter waits before another attempt; the more attempts in a row have failed, the longer. It returns false
	// once the host is closing.
	PauseAfter(failures int) bool
}

// MaxBuffered is how many changes are buffered during a load. When there are more, all are dropped, and the source is
// read once more.
const MaxBuffered = 256

// maxEagerReloads is how many loads in a row may follow each other without a pause, each because of buffered changes
// that did not continue the replica.
const maxEagerReloads = 3

// Mirror keeps one replica up to date. It is safe for concurrent use. Its lock comes before the replica's: no method of
// a Mirror may be called with the replica locked, nor from Take.
//
// Its states and transitions (model_test.go tests them):
//
//	               Start
//	                 │
//	                 ▼       gap · a change that does not continue it · Refresh
//	┌──────────► following ───────────────────────────────┐
//	│                                                     ▼
//	│  every requested load is done,                   loading ◄────────────┐
//	└──── and all buffered changes were applied ◄─────┤     │               │
//	                                                  │     │ Load fails    │ after a pause
//	                            gap · Refresh · too many    ▼               │
//	                            buffered: load once more  failing ──────────┘
//
//	any state ── Close, or the host closes ──► closed
//
// Changes that arrive during a load are buffered, and applied after it. If a buffered change then does not continue the
// replica, it matters when it was heard. If that was before the load began, the load has read it or something newer:
// the change is of an epoch that has ended, and is dropped. If it was later, the source is read once more. So each
// change causes at most one load, and late messages cannot keep a mirror loading.
type Mirror[C any] struct {
	replica Replica[C]
	host    Host

	mu        lock.Mutex
	stop      func()        // ends the subscription; nil until Follow has returned
	requested uint64        // number of the last load that was requested
	completed uint64        // all requests up to this number are fulfilled
	loading   bool          // a goroutine loads, or pauses before it loads again
	buffered  []C           // changes heard during the load
	covered   int           // how many of them, from the first, were heard before the current load began
	err       error         // of the last load; nil if it succeeded or none has ended yet
	changed   chan struct{} // closed and replaced when one of the above has changed, to wake those in wait
	closed    bool
}

// New returns a mirror. It does nothing until Start.
func New[C any](r Replica[C], host Host) *Mirror[C] {
	m := &Mirror[C]{replica: r, host: host, changed: make(chan struct{})}
	m.mu.SetClass(lock.Mirror)
	return m
}

// Start subscribes to the changes. Call it once, without the replica's lock.
func (m *Mirror[C]) Start() {
	stop := m.replica.Follow(m.hear, m.Gap)
	m.mu.Lock()
	closed := m.closed
	m.stop = stop
	m.mu.Unlock()
	if closed {
		stop()
	}
}

// Close ends the mirror; callers that wait get ErrClosed. It does not wait for a running load: the host does that. Call
// it without any lock, since stop, or a callback that runs at that moment, may need one. A second call does nothing.
func (m *Mirror[C]) Close() {
	m.mu.Lock()
	stop := m.stop
	if m.closed {
		stop = nil
	}
	m.closed, m.buffered = true, nil
	m.wakeWaiters()
	m.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Gap says that changes may have been missed, and requests a load. It does not wait for it.
func (m *Mirror[C]) Gap() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.request()
}

// Loaded waits for the first successful load. Errors: that of a load, as soon as one fails; ErrClosed; ErrUnavailable
// after timeout.
func (m *Mirror[C]) Loaded(timeout time.Duration) error { return m.wait(1, timeout) }

// Refresh requests a load and waits for it: afterwards the replica has what the source had when Refresh was called.
// Errors: as Loaded.
func (m *Mirror[C]) Refresh(timeout time.Duration) error {
	m.mu.Lock()
	m.request()
	target := m.requested
	m.mu.Unlock()
	return m.wait(target, timeout)
}

// Failing returns the error of the last load, or nil if it succeeded.
func (m *Mirror[C]) Failing() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *Mirror[C]) wait(target uint64, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		m.mu.Lock()
		completed, closed, err, changed := m.completed, m.closed, m.err, m.changed
		m.mu.Unlock()
		switch {
		case closed:
			return errs.ErrClosed
		case completed >= target:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-timer.C:
			return fmt.Errorf("it has not come from the other nodes in time: %w", errs.ErrUnavailable)
		}
	}
}

// hear applies a change, or buffers it during a load.
func (m *Mirror[C]) hear(change C) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case m.loading && len(m.buffered) >= MaxBuffered:
		m.buffered, m.covered = nil, 0
		m.request()
	case m.loading:
		m.buffered = append(m.buffered, change)
	case !m.replica.Take(change, false):
		m.buffered = append(m.buffered, change)
		m.request()
	}
}

// request asks for a load that begins after now. The caller holds m.mu.
func (m *Mirror[C]) request() {
	m.requested++
	if m.loading || m.closed {
		return
	}
	m.loading = true
	if !m.host.TryGo(m.load) {
		m.closeLocked()
	}
}

// load reads the source until all requests are fulfilled.
func (m *Mirror[C]) load() {
	for failures, reloads := 0, 0; ; {
		upTo, ok := m.beginLoad()
		if !ok {
			return
		}
		err := m.replica.Load()
		more, applied := m.endLoad(upTo, err)
		switch {
		case !more:
			return
		case err != nil:
			failures++
		case applied:
			failures, reloads = 0, 0
		default:
			failures, reloads = 0, reloads+1
		}
		if pause := max(failures, reloads-maxEagerReloads); pause > 0 && !m.host.PauseAfter(pause) {
			m.mu.Lock()
			m.closeLocked()
			m.mu.Unlock()
			return
		}
	}
}

// beginLoad begins a load, and returns the number up to which it fulfills the requests. It returns false for a closed
// mirror.
func (m *Mirror[C]) beginLoad() (upTo uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.loading = false
		return 0, false
	}
	m.covered = len(m.buffered)
	return m.requested, true
}

// endLoad records the result of a load and applies the buffered changes. It reports whether another load is needed, and
// whether all buffered changes were applied. If no other load is needed, the mirror follows again: changes are applied
// as soon as they are heard.
func (m *Mirror[C]) endLoad(upTo uint64, err error) (more, applied bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	applied = true
	if err == nil && !m.closed {
		m.completed = upTo
		applied = m.applyBuffered()
	}
	m.loading = !m.closed && m.completed < m.requested
	m.wakeWaiters()
	return m.loading, applied
}

// applyBuffered applies the buffered changes. It returns false if one does not continue the replica and was heard after
// the load began: then it requests another load. The caller holds m.mu.
func (m *Mirror[C]) applyBuffered() (applied bool) {
	for i, change := range m.buffered {
		if m.replica.Take(change, i < m.covered) || i < m.covered {
			continue
		}
		m.buffered = m.buffered[i:]
		m.requested++
		return false
	}
	m.buffered, m.covered = nil, 0
	return true
}

// closeLocked closes the mirror when its host is closing. The caller holds m.mu.
func (m *Mirror[C]) closeLocked() {
	m.loading, m.closed, m.buffered = false, true, nil
	m.wakeWaiters()
}

// wakeWaiters wakes the callers of wait. The caller holds m.mu.
func (m *Mirror[C]) wakeWaiters() {
	close(m.changed)
	m.changed = make(chan struct{})
}
