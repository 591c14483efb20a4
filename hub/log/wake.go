package log

// A Waker is signalled when a log has more entries for its reader, who should then read again. A signal carries no
// data: it may come without a cause, late or twice, from any goroutine and from several at the same time. Signal must
// not block, and must not read.
type Waker interface{ Signal() }

// Wake is a Waker for one goroutine that waits on a channel, however many logs it reads.
type Wake struct {
	C chan struct{}
}

// NewWake returns a Wake that has not fired.
func NewWake() *Wake { return &Wake{C: make(chan struct{}, 1)} }

// Signal makes C ready. It never blocks.
func (w *Wake) Signal() {
	select {
	case w.C <- struct{}{}:
	default:
	}
}

// UnlockAndWake ends a critical section that appended: it unlocks the log and then signals every parked reader. The
// order of signals does not matter, since they carry no data.
func (l *Log) UnlockAndWake() {
	list := l.parked
	if len(list) == 0 {
		l.Unlock()
		return
	}
	l.parked, l.spare = l.spare[:0], nil
	for _, r := range list {
		r.slot = -1
	}
	l.Unlock()
	for _, r := range list {
		r.wake.Signal()
	}
	clear(list)
	l.Lock()
	l.spare = list[:0]
	l.Unlock()
}

// WakeAll signals every parked reader, after an append that did not do so. It takes the lock itself.
func (l *Log) WakeAll() {
	l.Lock()
	l.UnlockAndWake()
}

// park adds r to the readers that the next append signals.
func (l *Log) park(r *Reader) {
	if r.slot < 0 {
		r.slot = len(l.parked)
		l.parked = append(l.parked, r)
	}
}

// unpark undoes park, in constant time.
func (l *Log) unpark(r *Reader) {
	if r.slot < 0 {
		return
	}
	last := len(l.parked) - 1
	l.parked[r.slot] = l.parked[last]
	l.parked[r.slot].slot = r.slot
	l.parked[last] = nil
	l.parked = l.parked[:last]
	r.slot = -1
}
