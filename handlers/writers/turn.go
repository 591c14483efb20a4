package writers

import "sync/atomic"

// Turn says whose turn it is to write to one connection: nobody's, somebody's, or somebody's who should look again
// before leaving. The zero value is nobody's. Safe for concurrent use.
type Turn struct {
	state atomic.Int32
	left  chan struct{} // closed by who had the turn when End was called
}

// The states.
const (
	free  int32 = iota
	taken       // somebody writes
	again       // and should look again
	over        // nobody may any longer; who writes leaves
)

// Take gives the caller the turn, or tells who has it to look again. Whoever gets true must write, and then ask Again.
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

// Again gives the turn back, or reports that there is more to be written after all: what came meanwhile has asked
// to take it.
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

// End lets nobody take the turn from now on, and returns when nobody has it. It is called once, by who does not
// have it.
func (t *Turn) End() {
	t.left = make(chan struct{})
	if t.state.Swap(over) != free {
		<-t.left
	}
}

// EndMine is End for the one who has the turn.
func (t *Turn) EndMine() { t.state.Store(over) }
