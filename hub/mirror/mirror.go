// Package mirror keeps a replica of a log that others write: a topic, a stream, a presence table, a queue. What others change is heard as
// messages, which may be late, doubled or lost. So messages are only a shortcut: a change that joins where the replica ends is taken, and
// whatever is in doubt is read again from the source.
package mirror

import (
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// Replica is what a Mirror keeps equal to its source. C is one change, as others tell it.
type Replica[C any] interface {
	// Follow begins to hear of changes. heard is called with each, and gap when some may have been missed, first of all when the following
	// begins. Both may be called from any goroutine, and return soon. Neither is called after stop has returned, except for a call that runs
	// at that moment.
	Follow(heard func(C), gap func()) (stop func())
	// Load reads the source and brings the replica to it. It runs in a goroutine of the mirror's, one call at a time, never together with Take.
	Load() error
	// Take takes one change, if it joins. It returns false for a change that does not join: what lies before it is missing, or it is of another
	// life of the log. A change that the replica has already joins and does nothing. covered says that the change was heard before the last load
	// began, so the source had it then, or something newer. It is called with the mirror locked.
	Take(change C, covered bool) bool
}

// Host runs the work of mirrors.
type Host interface {
	// TryGo runs f in a goroutine of its own. It returns false, and runs nothing, once the host closes.
	TryGo(f func()) bool
	// PauseAfter waits before another attempt, longer the more attempts in a row have failed. It returns false once the host closes.
	PauseAfter(failures int) bool
}

// MaxBuffered is how many changes wait while the source is read. Beyond it they are dropped, and the source is read again.
const MaxBuffered = 256

// restlessLoads is how many loads in a row may follow each other at once, each because of changes that did not join.
const restlessLoads = 3

// Mirror keeps one replica. Safe for concurrent use. Its lock comes before the replica's: call no method of a Mirror with the replica locked, nor
// from Take.
//
// Its states, and what moves it (model_test.go walks them):
//
//	               Start
//	                 │
//	                 ▼       gap · a change that does not join · Refresh
//	┌──────────► following ────────────────────────────────┐
//	│                                                      ▼
//	│  all that was asked for is read,                  loading ◄─────────────┐
//	└──────── and all buffered changes joined ◄────────┤     │                │
//	                                                   │     │ Load fails     │ after a pause
//	                             gap · Refresh · too many    ▼                │
//	                             buffered: load once more   failing ──────────┘
//
//	any state ── Close, or the host closes ──► closed
//
// While the source is read, changes are buffered, and taken afterwards. A change that does not join then is handled by when it was heard. If
// it was heard before the load began, the source had it when it was read: what the source has says more than the change, which is of a life
// that is over, and is dropped. If it was heard later, the source is read once more. So each change costs at most one load, and late messages
// cannot keep a mirror loading.
type Mirror[C any] struct {
	replica Replica[C]
	host    Host

	mu       lock.Mutex
	stop     func()        // ends the following; nil until Follow has returned
	wanted   uint64        // counts what asked for a load
	covered  uint64        // all that was asked for up to here has been read
	loading  bool          // a goroutine loads, or pauses before it loads again
	buffered []C           // heard while it loads
	older    int           // how many of them were heard before the present load began
	err      error         // of the last load; nil where it succeeded, or the first is under way
	changed  chan struct{} // closed, and made anew, when one of the above has changed for those who wait
	closed   bool
}

// New returns a mirror that does nothing before Start.
func New[C any](r Replica[C], host Host) *Mirror[C] {
	m := &Mirror[C]{replica: r, host: host, changed: make(chan struct{})}
	m.mu.SetClass(lock.Mirror)
	return m
}

// Start begins to follow. It is called once, without the replica's lock.
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

// Close ends the mirror; those who wait get ErrClosed. It does not wait for a load that runs: the host does. Call it without any lock: what the
// source tells at the moment may need it. A second call does nothing.
func (m *Mirror[C]) Close() {
	m.mu.Lock()
	stop := m.stop
	if m.closed {
		stop = nil
	}
	m.closed, m.buffered = true, nil
	m.tell()
	m.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Gap says that changes may have been missed: the source is read again. It does not wait.
func (m *Mirror[C]) Gap() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want()
}

// Loaded waits until the source was read once with success. Errors: the one of the last load, as soon as that fails; ErrClosed; ErrUnavailable
// after patience.
func (m *Mirror[C]) Loaded(patience time.Duration) error { return m.wait(1, patience) }

// Refresh has the source read again, and waits for it: afterwards the replica has what the source had when Refresh was called. Errors are
// Loaded's.
func (m *Mirror[C]) Refresh(patience time.Duration) error {
	m.mu.Lock()
	m.want()
	target := m.wanted
	m.mu.Unlock()
	return m.wait(target, patience)
}

// Failing returns the error of the last load, or nil where it succeeded.
func (m *Mirror[C]) Failing() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *Mirror[C]) wait(target uint64, patience time.Duration) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		m.mu.Lock()
		covered, closed, err, changed := m.covered, m.closed, m.err, m.changed
		m.mu.Unlock()
		switch {
		case closed:
			return errs.ErrClosed
		case covered >= target:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-late.C:
			return fmt.Errorf("it has not come from the other nodes in time: %w", errs.ErrUnavailable)
		}
	}
}

// hear takes a change, or buffers it while the source is read.
func (m *Mirror[C]) hear(change C) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case m.loading && len(m.buffered) >= MaxBuffered:
		m.buffered, m.older = nil, 0
		m.want()
	case m.loading:
		m.buffered = append(m.buffered, change)
	case !m.replica.Take(change, false):
		m.buffered = append(m.buffered, change)
		m.want()
	}
}

// want asks for a load that begins after now. m.mu is held.
func (m *Mirror[C]) want() {
	m.wanted++
	if m.loading || m.closed {
		return
	}
	m.loading = true
	if !m.host.TryGo(m.load) {
		m.end()
	}
}

// load reads the source until nothing is wanted any more.
func (m *Mirror[C]) load() {
	for failures, restless := 0, 0; ; {
		upTo, ok := m.begin()
		if !ok {
			return
		}
		err := m.replica.Load()
		more, joined := m.loaded(upTo, err)
		switch {
		case !more:
			return
		case err != nil:
			failures++
		case joined:
			failures, restless = 0, 0
		default:
			failures, restless = 0, restless+1
		}
		if pause := max(failures, restless-restlessLoads); pause > 0 && !m.host.PauseAfter(pause) {
			m.mu.Lock()
			m.end()
			m.mu.Unlock()
			return
		}
	}
}

// begin says up to what the next load covers what was wanted. It returns false for a closed mirror.
func (m *Mirror[C]) begin() (upTo uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.loading = false
		return 0, false
	}
	m.older = len(m.buffered)
	return m.wanted, true
}

// loaded notes what a load has brought. It reports whether more is wanted, and whether all buffered changes have joined. Where nothing more is
// wanted, the loading ends here: whatever is heard from then on is taken at once.
func (m *Mirror[C]) loaded(upTo uint64, err error) (more, joined bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	joined = true
	if err == nil && !m.closed {
		m.covered = upTo
		joined = m.takeBuffered()
	}
	m.loading = !m.closed && m.covered < m.wanted
	m.tell()
	return m.loading, joined
}

// takeBuffered takes what was heard meanwhile. m.mu is held.
func (m *Mirror[C]) takeBuffered() (joined bool) {
	for i, change := range m.buffered {
		if m.replica.Take(change, i < m.older) || i < m.older {
			continue
		}
		m.buffered = m.buffered[i:]
		m.wanted++
		return false
	}
	m.buffered, m.older = nil, 0
	return true
}

// end closes a mirror whose host closes. m.mu is held.
func (m *Mirror[C]) end() {
	m.loading, m.closed, m.buffered = false, true, nil
	m.tell()
}

// tell wakes those who wait. m.mu is held.
func (m *Mirror[C]) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}
