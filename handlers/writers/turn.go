package writers

import "sync/atomic"

// Turn says whose turn it is to write to one connection. It is a lock that nobody waits for: whoever finds it taken
// leaves word that there is more to be written, and who has the turn looks again before giving it back. So nothing
// that was there before a call of Take is left unwritten. The zero value is free. Safe for concurrent use.
//
//	       Take            Take
//	free ───────► taken ─────────► again ◄──┐ Take
//	 ▲              │ ▲               │  └──┘
//	 │    Again     │ │     Again     │
//	 └──────────────┘ └───────────────┘        any ── End, EndMine ──► over
type Turn struct {
	state atomic.Int32
	left  chan struct{} // made by End, and closed by who had the turn then
}

// The states.
const (
	free  int32 = iota
	taken       // somebody writes
	again       // somebody writes, and is to look again
	over        // nobody may write any longer; who still does leaves
)

// Take gives the caller the turn and returns true, or tells who has it to look again. Whoever gets true writes what
// there is, and then calls Again.
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

// Asked reports whether the one who has the turn was told to look again.
func (t *Turn) Asked() bool { return t.state.Load() == again }

// Again gives the turn back and returns false, or returns true where Take was called meanwhile: the caller still
// has the turn, and writes what there is now. After End it returns false.
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

// End lets nobody take the turn from now on, and returns when nobody has it. It is called once, by a goroutine that
// does not have the turn.
func (t *Turn) End() {
	t.left = make(chan struct{})
	if t.state.Swap(over) != free {
		<-t.left
	}
}

// EndMine is End for the goroutine that has the turn.
func (t *Turn) EndMine() { t.state.Store(over) }
