package hub

import "sync/atomic"

// ResetReason says why a position could not be resumed exactly (protocol/sse.md 4.4).
type ResetReason string

// The reasons.
const (
	ResetEpoch   ResetReason = "epoch"   // of another life of the log
	ResetTrimmed ResetReason = "trimmed" // the entries after it are no longer kept
	ResetAhead   ResetReason = "ahead"   // beyond the newest entry
)

// Reset tells a reader that it does not get what follows the position it asked for, but what follows From.
type Reset struct {
	Reason    ResetReason
	Requested string
	From      Position
}

// End is the reset in the words of a stream's end, for readers that have no other word for it: what they read goes on no more, and may be asked for
// again.
func (r *Reset) End() Item {
	e := Ending{Status: StatusInterrupted, Error: &EndError{Code: "reset", Message: "the stream is not what was told of it; ask for it again"}}
	return Item{Event: &Event{Kind: EndEvent, Name: EndName, Data: e.appendJSON(nil)}}
}

// A Waker is told that a log has more for its reader. Signal carries no data, may come without cause, late or doubled, from any goroutine and
// several at a time: read again. It must not block, nor read in the call.
type Waker interface{ Signal() }

// Wake is a Waker for one goroutine that waits on a channel, however many logs it reads. Where it is a reader's, what that reads is for a request
// that waits.
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

// Transport implements Client.
func (w *Wake) Transport() Transport { return ViaWait }

// Reader is one reading place in one log: an offset. It belongs to one goroutine and must be closed by it.
type Reader struct {
	log   *log
	wake  Waker
	epoch string // of the log, as it was at the last Read
	after uint64 // the offset of the last entry that was read
	start uint64 // where it began
	slot  int    // its index in log.parked, or -1; guarded by log.mu
	done  atomic.Bool
	onEnd func() // called once by Close; nil: nothing

	silent bool // what it reads does not count as delivered to anybody
	counts readerCounts
}

// Read appends to dst the items that follow, in order, and moves behind them: text of adjacent entries merged, bounded in number and bytes
// (256 items, about 256 KiB). The reader's Wake will fire when there is more: at once where Read has left some. A Reset means that the
// reader fell behind what is kept; the items are those after Reset.From. Items are shared: never change them.
func (r *Reader) Read(dst []Item) ([]Item, *Reset) {
	dst, reset := r.log.read(r, dst, readItems)
	if reset != nil {
		r.counts.reset(reset)
	}
	return dst, reset
}

// ReadUpTo is Read with at most limit items, 1 to 256.
func (r *Reader) ReadUpTo(dst []Item, limit int) ([]Item, *Reset) {
	dst, reset := r.log.read(r, dst, min(limit, readItems))
	if reset != nil {
		r.counts.reset(reset)
	}
	return dst, reset
}

// Position returns the place after the last item read.
func (r *Reader) Position() Position { return Position{Epoch: r.epoch, Offset: r.after} }

// Epoch returns the epoch of the items of the last Read: it is another one than before where Read has returned a Reset, and may be without one.
func (r *Reader) Epoch() string { return r.epoch }

// Start returns the place where the reader began. It is to be asked before the first Read.
func (r *Reader) Start() Position { return Position{Epoch: r.epoch, Offset: r.start} }

// Close ends the reader. A second call does nothing.
func (r *Reader) Close() {
	if r.done.Swap(true) {
		return
	}
	r.log.mu.Lock()
	r.log.unpark(r)
	r.log.readers--
	r.log.mu.Unlock()
	if r.onEnd != nil {
		r.onEnd()
	}
}
