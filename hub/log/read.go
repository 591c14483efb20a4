package log

// Bounds of one Read, so that the memory of a lagging reader stays bounded.
const (
	MaxReadItems = 256
	MaxReadBytes = 256 << 10 // of text in one item; about, of all items
)

// ReaderOptions configure a reader. The zero value is ready for use.
type ReaderOptions struct {
	Observer Observer // is called with what the reader reads; may be nil
	Silent   bool     // what it reads does not count as delivered (Log.Delivered)
	OnClose  func()   // is called once, by Reader.Close, without the log's lock
}

// An Observer counts what a reader reads. It is called with the log locked, and must not block.
type Observer interface {
	Items(n int, behind uint64) // n items, read by a reader that was behind by so many entries
	Tokens(n int)               // n tokens that no reader had read before
	Reset(reason ResetReason)
}

// Open initializes r to read after p. If that is not possible, r begins with the oldest entry in the log, and the Reset
// says why.
func (l *Log) Open(r *Reader, p Position, wake Waker, o ReaderOptions) *Reset {
	r.log, r.wake, r.slot, r.o = l, wake, -1, o
	var reset *Reset
	switch {
	case p.Now:
		r.after = l.Tail()
	case p.Epoch == "":
		r.after = l.base
	default:
		if r.after, reset = p.Offset, l.reset(p); reset != nil {
			r.after = l.base
		}
	}
	r.epoch, r.start = l.epoch, r.after
	l.readers++
	r.observeReset(reset)
	return reset
}

// read appends to dst the items after r, up to limit and MaxReadBytes, and moves r after them. At the tail it parks r;
// otherwise it signals r's Waker at once. So a reader reads once for each signal. It takes the lock itself.
func (l *Log) read(r *Reader, dst []Item, limit int) ([]Item, *Reset) {
	l.Lock()
	defer l.Unlock()
	if r.done.Load() { // closed by another goroutine: it must not be parked
		return dst, nil
	}
	behind := l.Tail() - min(r.after, l.Tail()) // in another epoch it may be ahead
	reset := l.relocate(r)
	had := len(dst)
	for size := 0; len(dst)-had < limit && size < MaxReadBytes && r.after < l.Tail(); {
		item := l.itemAfter(r.after)
		r.after = item.To
		if item.Event != nil && item.Event.Kind == EndEvent && item.To < l.Tail() {
			continue // another producer has continued the stream, so this is not its end
		}
		size += item.size()
		dst = append(dst, item)
	}
	if r.after < l.Tail() {
		r.wake.Signal()
	} else {
		l.park(r)
	}
	l.count(r, len(dst)-had, behind)
	return dst, reset
}

// ReadEvents moves r to the tail in one step. It returns the events up to there, and the byte at which the text up to
// there begins. Unlike Reader.Read it has no limits and does not park r.
func (l *Log) ReadEvents(r *Reader) (events []Item, at int, reset *Reset) {
	behind := l.Tail() - min(r.after, l.Tail())
	reset = l.relocate(r)
	at = l.endOf(int(r.after-l.base) - 1)
	for i := r.after - l.base; i < uint64(len(l.entries)); i++ {
		if l.entries[i].event != nil {
			events = append(events, l.itemAfter(l.base+i))
		}
	}
	items := len(events)
	if len(l.text) > at {
		items++
	}
	r.after = l.Tail()
	l.count(r, items, behind)
	return events, at, reset
}

// SkipToTail moves r after the newest entry and parks it there.
func (l *Log) SkipToTail(r *Reader) {
	r.after = l.Tail()
	l.park(r)
}

// relocate moves a reader that cannot continue at its offset, because the entries after it were trimmed or the log has
// another epoch.
func (l *Log) relocate(r *Reader) (reset *Reset) {
	if r.after >= l.base && r.epoch == l.epoch {
		return nil
	}
	if reset = l.reset(r.Position()); reset != nil {
		r.after = l.base
	}
	r.epoch = l.epoch
	r.observeReset(reset)
	return reset
}

// count counts what r has read.
func (l *Log) count(r *Reader, items int, behind uint64) {
	if r.o.Silent {
		return
	}
	tokens := 0
	if at := min(r.after, l.Tail()); l.delivered < at { // the log of a queue may be shorter while it is reloaded
		tokens = l.countDelivered(at)
	}
	if r.o.Observer != nil {
		r.o.Observer.Items(items, behind)
		r.o.Observer.Tokens(tokens)
	}
}

// countDelivered records that a reader has read everything up to the offset, and returns how many of the tokens no
// reader had read before.
func (l *Log) countDelivered(offset uint64) (tokens int) {
	before := l.deliveredTokens
	for ; l.delivered < offset; l.delivered++ {
		if l.delivered >= l.base && l.entries[l.delivered-l.base].isToken() {
			l.deliveredTokens++
		}
	}
	return l.deliveredTokens - before
}

// itemAfter returns the item that begins after the offset: one event, or the adjacent text, up to MaxReadBytes of it.
func (l *Log) itemAfter(after uint64) Item {
	i := int(after - l.base)
	at := l.endOf(i - 1)
	if ev := l.entries[i].event; ev != nil {
		item := Item{To: after + 1, At: at, Event: ev, Encoding: &ev.Encoding}
		if end := l.entries[i].end; end > at {
			item.Text = l.text[at:end:end]
		}
		return item
	}
	j := i
	for j+1 < len(l.entries) && l.entries[j+1].event == nil && l.entries[j+1].end-at <= MaxReadBytes {
		j++
	}
	to, end := l.base+uint64(j)+1, l.entries[j].end
	return Item{To: to, At: at, Text: l.text[at:end:end], Encoding: l.spans.get(after, to, l.encodings)}
}
