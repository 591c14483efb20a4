package log

import "sync/atomic"

// Reader reads one log from an offset on. It belongs to one goroutine, which must Close it. Log.Open initializes it.
type Reader struct {
	log   *Log
	wake  Waker
	o     ReaderOptions
	epoch string // of the log, as it was at the last Read
	after uint64 // the offset of the last entry that was read
	start uint64 // the offset after which it began
	slot  int    // its index in Log.parked, or -1; guarded by the log's lock
	done  atomic.Bool
}

// Read appends the next items to dst, in order, and moves the reader after them. Text of adjacent entries is merged.
// One call returns at most MaxReadItems and about MaxReadBytes. The reader's Waker is signalled when there is more, at
// once if Read has not returned everything. A Reset says that the entries after the reader's offset were trimmed, or
// that the log has another epoch; the items are then those after Reset.From. Items are shared: never change them.
func (r *Reader) Read(dst []Item) ([]Item, *Reset) { return r.log.read(r, dst, MaxReadItems) }

// ReadUpTo is Read with at most limit items, 1 to MaxReadItems.
func (r *Reader) ReadUpTo(dst []Item, limit int) ([]Item, *Reset) {
	return r.log.read(r, dst, min(limit, MaxReadItems))
}

// Position returns the place after the last item read.
func (r *Reader) Position() Position { return Position{Epoch: r.epoch, Offset: r.after} }

// Epoch returns the epoch of the items of the last Read. It has changed if Read returned a Reset, and may have changed
// without one.
func (r *Reader) Epoch() string { return r.epoch }

// Start returns the position at which the reader began. Call it before the first Read.
func (r *Reader) Start() Position { return Position{Epoch: r.epoch, Offset: r.start} }

// SetOnClose replaces ReaderOptions.OnClose. The caller holds the log's lock.
func (r *Reader) SetOnClose(f func()) { r.o.OnClose = f }

// Close ends the reader. A second call does nothing. It takes the log's lock.
func (r *Reader) Close() {
	if r.done.Swap(true) {
		return
	}
	r.log.Lock()
	r.log.unpark(r)
	r.log.readers--
	r.log.Unlock()
	if r.o.OnClose != nil {
		r.o.OnClose()
	}
}

func (r *Reader) observeReset(reset *Reset) {
	if reset != nil && r.o.Observer != nil {
		r.o.Observer.Reset(reset.Reason)
	}
}
