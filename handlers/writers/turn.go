package writers

import "sync/atomic"

// Turn admits one writer at a time to a connection. It is a lock that nobody waits for: whoever finds it taken requests
// another pass of the writer that has it, who checks again before releasing it. So everything that was there before a
// call of Take is written. The zero value is free. Safe for concurrent use.
//
//	       Take            Take
//	free ───────► taken ─────────► again ◄──┐ Take
//	 ▲              │ ▲               │  └──┘
//	 │    Again     │ │     Again     │
//	 └──────────────┘ └───────────────┘        any ── End, EndMine ──► over
type Turn struct {
	state atomic.Int32
	left  chan struct{} // made by End, closed by the goroutine that has the turn
}

// States of a Turn.
const (
	free  int32 = iota
	taken       // somebody writes
	again       // somebody writes, and must make another pass
	over        // nobody may take the turn; a current writer ends
)

// Take gives the caller the turn and returns true, or requests another pass of the writer that has it. After true, the
// caller writes what there is, and then calls Again.
func (t *Turn) Take() bool {
	for {
		switch t.state.Load() {
		case free:
			if t.state.CompareAndSwap(free, taken) {
				return true
			}
		case taken:
			if t.state.CompareAndSwap(taken, again) {
				return false
			}
		default:
			return false
		}
	}
}

// Asked reports whether another pass was requested.
func (t *Turn) Asked() bool { return t.state.Load() == again }

// Again releases the turn and returns false. If Take was called meanwhile, it returns true instead: the caller still
// has the turn, and makes another pass. After End it returns false.
func (t *Turn) Again() bool {
	switch {
	case t.state.CompareAndSwap(taken, free):
		return false
	case t.state.CompareAndSwap(again, taken):
		return true
	}
	close(t.left)
	return false
}

// End prevents new turns, and returns when the current one has ended. It is called once, by a goroutine that does not
// have the turn.
func (t *Turn) End() {
	t.left = make(chan struct{})
	if t.state.Swap(over) != free {
		<-t.left
	}
}

// EndMine is End for the goroutine that has the turn.
func (t *Turn) EndMine() { t.state.Store(over) }
