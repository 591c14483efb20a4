package log

// Bounds of one Read, so that the memory of a lagging reader stays bounded.
const (
	MaxReadItems = 256
	MaxReadBytes = 256 << 10 // of text in one item; about, of all items
)

// ReaderOptions say what a reader counts for. The zero value is fine.
type ReaderOptions struct {
	Observer Observer // is told what the reader is given; nil: nobody is
	Silent   bool     // what it reads does not count as delivered (Log.Delivered)
	OnClose  func()   // is called once, by Reader.Close, without the log's lock
}

// An Observer is told what a reader is given. It is called with the log locked, and must not block.
type Observer interface {
	Items(n int, behind uint64) // n items, given to a reader that was behind by so many entries
	Tokens(n int)               // n tokens that no reader was given before
	Reset(reason ResetReason)
}

// Open sets r to read after p. Where the log cannot go on there, r begins with the oldest entry that is kept, and the
// Reset says why.
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

// read appends to dst what follows r, bounded by limit and MaxReadBytes, and moves r behind it. At the tail it parks r;
// before it, it signals r's Waker at once. So a reader looks at the log once for each signal. It takes the lock itself.
func (l *Log) read(r *Reader, dst []Item, limit int) ([]Item, *Reset) {
	l.Lock()
	defer l.Unlock()
	if r.done.Load() { // closed by another goroutine: it must not be parked
		return dst, nil
	}
	behind := l.Tail() - min(r.after, l.Tail()) // in another epoch it may be ahead
	reset := l.catchUp(r)
	had := len(dst)
	for size := 0; len(dst)-had < limit && size < MaxReadBytes && r.after < l.Tail(); {
		item := l.itemAfter(r.after)
		r.after = item.To
		if item.Event != nil && item.Event.Kind == EndEvent && item.To < l.Tail() {
			continue // another producer took the stream on: this was not its end
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

// ReadEvents moves r to the tail in one step, and returns the events on the way and where the text on the way begins.
// Unlike Reader.Read it has no bounds and does not park r.
func (l *Log) ReadEvents(r *Reader) (events []Item, at int, reset *Reset) {
	behind := l.Tail() - min(r.after, l.Tail())
	reset = l.catchUp(r)
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

// SkipToTail moves r behind the newest entry and parks it there.
func (l *Log) SkipToTail(r *Reader) {
	r.after = l.Tail()
	l.park(r)
}

// catchUp moves a reader that cannot go on where it is, because its place was trimmed while it lagged, or the log has
// another epoch.
func (l *Log) catchUp(r *Reader) (reset *Reset) {
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

// count notes what r was given.
func (l *Log) count(r *Reader, items int, behind uint64) {
	if r.o.Silent {
		return
	}
	tokens := 0
	if at := min(r.after, l.Tail()); l.delivered < at { // a queue's log that is read anew may be shorter for a moment
		tokens = l.countDelivered(at)
	}
	if r.o.Observer != nil {
		r.o.Observer.Items(items, behind)
		r.o.Observer.Tokens(tokens)
	}
}

// countDelivered notes that a reader was given everything up to the offset, and returns how many tokens no reader was
// given before.
func (l *Log) countDelivered(offset uint64) (tokens int) {
	before := l.deliveredTokens
	for ; l.delivered < offset; l.delivered++ {
		if l.delivered >= l.base && l.entries[l.delivered-l.base].isToken() {
			l.deliveredTokens++
		}
	}
	return l.deliveredTokens - before
}

// itemAfter returns the item that begins after the offset: one event, or all adjacent text up to MaxReadBytes of it.
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
