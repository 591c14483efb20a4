package hub

import (
	"sort"
	"sync"
	"sync/atomic"
)

// encodedTail is how many of the newest entries keep their encoded bytes.
const encodedTail = 64

// Limits of one Read: what a lagging reader takes in one go, so that its memory stays bounded.
const (
	readItems = 256
	readBytes = 256 << 10
)

// log is an append-only, bounded record of entries, the one thing under every topic and every stream. Entries have the offsets base+1,
// base+2, …; a reader is an offset in it. Text entries only mark where their text ends in one growing buffer, so that any run of them is a
// slice of it: late and slow readers get the run as one item, without copying.
//
// mu guards everything; what is handed out (items, text, events) is immutable and used without it.
type log struct {
	mu      sync.Mutex
	epoch   string
	before  []Position // the epochs of earlier lives, the latest first, and up to where this log is the same
	base    uint64     // the offset of the newest entry that was trimmed
	entries []entry    // base+1, base+2, …
	text    []byte     // all text, from the beginning; logs with text are never trimmed
	bytes   int64      // what the entries take, for limits; without their encodings

	encodings *atomic.Int64 // where the bytes of encodings are counted; set once, before the first entry

	delivered       uint64    // the highest offset that any reader was given
	deliveredTokens int       // entries among those that count as tokens
	readers         int       // open readers
	parked          []*Reader // those that have read everything and wait
	spare           []*Reader // an emptied list, to be used again
	spans           spanCache
}

// entry is one entry: an event, or text when event is nil.
type entry struct {
	end   int // where the text ends with this entry
	event *Event
}

// counts reports whether the entry is one of the producer's, and not of our own making.
func (e *entry) counts() bool {
	return e.event == nil || e.event.Kind == StreamEvent || e.event.Kind == ChunkEvent
}

const entryBytes = 24 // unsafe.Sizeof(entry{}) and the slice's slack, for accounting

// tail returns the offset of the newest entry. l.mu is held.
func (l *log) tail() uint64 { return l.base + uint64(len(l.entries)) }

func (l *log) position(offset uint64) Position { return Position{Epoch: l.epoch, Offset: offset} }

// appendText adds one text entry. l.mu is held, and let go by unlockAndWake.
func (l *log) appendText(text string) uint64 {
	l.text = append(l.text, text...)
	l.push(entry{end: len(l.text)})
	l.bytes += int64(len(text)) + entryBytes
	return l.tail()
}

// appendEvent adds ev, setting its offset. l.mu is held, and let go by unlockAndWake.
func (l *log) appendEvent(ev *Event) uint64 {
	l.text = append(l.text, ev.Text...)
	ev.Offset = l.tail() + 1
	ev.Encoding.size = l.encodings
	l.push(entry{end: len(l.text), event: ev})
	l.bytes += eventBytes(ev) + int64(len(ev.Text))
	return ev.Offset
}

// eventBytes estimates what an event takes, its envelope counted once.
func eventBytes(ev *Event) int64 {
	return int64(len(ev.Data)+len(ev.Name)+len(ev.Bytes)) + entryBytes + 224
}

// push adds an entry. The one that leaves the encoded tail with that keeps its encodings no longer.
func (l *log) push(e entry) {
	l.entries = append(l.entries, e)
	if i := len(l.entries) - 1 - encodedTail; i >= 0 && l.entries[i].event != nil {
		l.entries[i].event.close()
	}
}

// retire frees the encodings of a log that the hub forgets. Readers that it still has encode for themselves, or keep what
// goes with them. l.mu is held.
func (l *log) retire() {
	l.eachEncoding((*Encoding).close)
	l.encodings = nil
}

// clearEncodings frees the encodings of a log. Whoever needs them makes them again.
func (l *log) clearEncodings() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.eachEncoding((*Encoding).clear)
}

// eachEncoding calls f with all encodings that may hold something: those of the encoded tail, and of spans of text.
func (l *log) eachEncoding(f func(*Encoding)) {
	for _, e := range l.entries[max(0, len(l.entries)-encodedTail):] {
		if e.event != nil {
			f(&e.event.Encoding)
		}
	}
	for i := range l.spans.spans {
		if enc := l.spans.spans[i].enc; enc != nil {
			f(enc)
		}
	}
}

// trim drops the oldest entries while drop says so. Only for logs without text. l.mu is held.
func (l *log) trim(drop func(ev *Event) bool) (dropped []*Event) {
	n := 0
	for n < len(l.entries) && drop(l.entries[n].event) {
		l.bytes -= eventBytes(l.entries[n].event)
		l.entries[n].event.close()
		dropped = append(dropped, l.entries[n].event)
		n++
	}
	if n == 0 {
		return nil
	}
	clear(l.entries[:n])
	l.entries = l.entries[n:]
	l.base += uint64(n)
	return dropped
}

// unlockAndWake ends a critical section that appended, and tells every parked reader to read again. The waking itself is done outside the
// lock: it carries no data, so its order does not matter.
func (l *log) unlockAndWake() {
	list := l.parked
	if len(list) == 0 {
		l.mu.Unlock()
		return
	}
	l.parked, l.spare = l.spare[:0], nil
	for _, r := range list {
		r.slot = -1
	}
	l.mu.Unlock()
	for _, r := range list {
		r.wake.Signal()
	}
	clear(list)
	l.mu.Lock()
	l.spare = list[:0]
	l.mu.Unlock()
}

// wakeAll tells every parked reader to read again, after an append that could not.
func (l *log) wakeAll() {
	l.mu.Lock()
	l.unlockAndWake()
}

// open sets r to read after p, or after the beginning of what is kept with a Reset that says why p could not be had. l.mu is held.
func (l *log) open(r *Reader, p Position, wake Waker) *Reset {
	r.log, r.wake, r.slot = l, wake, -1
	var reset *Reset
	switch {
	case p.Now:
		r.after = l.tail()
	case p.Epoch == "":
		r.after = l.base
	default:
		if r.after = p.Offset; l.lost(p) != "" {
			r.after = l.base
			reset = &Reset{Reason: l.lost(p), Requested: p.String(), From: l.position(l.base)}
		}
	}
	r.epoch, r.start = l.epoch, r.after
	l.readers++
	return reset
}

// lost says why entries after p cannot be given exactly, or "".
func (l *log) lost(p Position) ResetReason {
	same, known := l.sameUpTo(p.Epoch)
	switch {
	case !known:
		return ResetEpoch
	case p.Offset > same:
		return ResetAhead
	case p.Offset < l.base:
		return ResetTrimmed
	}
	return ""
}

// sameUpTo returns up to where the log is the same as in the life of an epoch. known is false where nothing is known of that.
func (l *log) sameUpTo(epoch string) (offset uint64, known bool) {
	if epoch == l.epoch {
		return l.tail(), true
	}
	for i := range l.before {
		if epoch == l.before[i].Epoch && epoch != "" {
			return l.before[i].Offset, true
		}
	}
	return 0, false
}

// read appends to dst what follows r, bounded by limit and readBytes, and moves r behind it. At the tail it parks r; before it, r's wake
// fires at once. So whoever has read needs only to wait: one look at the log for each wake-up.
func (l *log) read(r *Reader, dst []Item, limit int) ([]Item, *Reset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.done.Load() { // closed by another goroutine: it must not be parked
		return dst, nil
	}
	behind := l.tail() - min(r.after, l.tail()) // of another epoch, it may be ahead
	reset := l.catchUp(r)
	had := len(dst)
	for size := 0; len(dst)-had < limit && size < readBytes && r.after < l.tail(); {
		item := l.itemAfter(r.after)
		r.after = item.To
		if item.Event != nil && item.Event.Kind == EndEvent && item.To < l.tail() {
			continue // the stream was taken on by another producer: this was not its end
		}
		size += len(item.Text) + 64
		if item.Event != nil {
			size += len(item.Event.Data)
		}
		dst = append(dst, item)
	}
	if r.after < l.tail() {
		r.wake.Signal()
	} else {
		l.park(r)
	}
	if !r.silent {
		r.counts.items(len(dst)-had, behind)
		if at := min(r.after, l.tail()); l.delivered < at { // a queue's log that is read anew may be shorter for a moment
			r.counts.tokens(l.countDelivered(at))
		}
	}
	return dst, reset
}

// catchUp moves a reader that can no longer go on where it is: its place was trimmed while it lagged, or the log has another epoch.
func (l *log) catchUp(r *Reader) (reset *Reset) {
	if r.after >= l.base && r.epoch == l.epoch {
		return nil
	}
	p := Position{Epoch: r.epoch, Offset: r.after}
	if why := l.lost(p); why != "" {
		reset = &Reset{Reason: why, Requested: p.String(), From: l.position(l.base)}
		r.after = l.base
	}
	r.epoch = l.epoch
	return reset
}

// begin gives a log without text another life, in which nothing is kept yet. l.mu is held; the readers are woken by unlockAndWake.
func (l *log) begin(epoch string, before []Position, base uint64) {
	l.eachEncoding((*Encoding).close)
	l.epoch, l.before, l.base, l.delivered = epoch, before, base, base
	l.entries, l.bytes, l.spans = nil, 0, spanCache{}
}

// livesKept is of how many earlier lives it is known up to where the log is the same.
const livesKept = 16

// renew gives a log another epoch: up to here it is the same as in the life before. l.mu is held.
func (l *log) renew(epoch string) {
	before := append([]Position{l.position(l.tail())}, l.before...)
	l.epoch, l.before = epoch, before[:min(len(before), livesKept)]
}

// countDelivered notes that some reader was given everything up to the offset, and returns how many tokens nobody was given before.
func (l *log) countDelivered(offset uint64) (tokens int) {
	before := l.deliveredTokens
	for ; l.delivered < offset; l.delivered++ {
		if l.delivered >= l.base && l.entries[l.delivered-l.base].counts() {
			l.deliveredTokens++
		}
	}
	return l.deliveredTokens - before
}

// itemAfter returns the item that begins after the offset: one event, or all adjacent text up to readBytes of it.
func (l *log) itemAfter(after uint64) Item {
	i := int(after - l.base)
	at := 0
	if i > 0 {
		at = l.entries[i-1].end
	}
	if ev := l.entries[i].event; ev != nil {
		item := Item{To: after + 1, At: at, Event: ev, Encoding: &ev.Encoding}
		if end := l.entries[i].end; end > at {
			item.Text = l.text[at:end:end]
		}
		return item
	}
	j := i
	for j+1 < len(l.entries) && l.entries[j+1].event == nil && l.entries[j+1].end-at <= readBytes {
		j++
	}
	to, end := l.base+uint64(j)+1, l.entries[j].end
	return Item{To: to, At: at, Text: l.text[at:end:end], Encoding: l.spans.get(after, to, l.encodings)}
}

// offsetAt returns the offset of the first entry whose text ends beyond the byte at, that is, the place to read on for a client that has
// the first at bytes; and how many bytes of that entry's text it has already.
func (l *log) offsetAt(at int) (after uint64, skip int) {
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].end > at })
	start := 0
	if i > 0 {
		start = l.entries[i-1].end
	}
	return l.base + uint64(i), at - start
}

// textOffset returns where in the text the entries after the offset begin. l.mu is held.
func (l *log) textOffset(after uint64) int {
	if i := int(after - l.base); i > 0 {
		return l.entries[i-1].end
	}
	return 0
}

func (l *log) park(r *Reader) {
	if r.slot < 0 {
		r.slot = len(l.parked)
		l.parked = append(l.parked, r)
	}
}

func (l *log) unpark(r *Reader) {
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

// spanCache shares the encoded bytes of the last few runs of text: readers that keep up all ask for the same run.
type spanCache struct {
	spans [4]span
	next  int
}

type span struct {
	from, to uint64
	enc      *Encoding
}

func (c *spanCache) get(from, to uint64, size *atomic.Int64) *Encoding {
	for i := range c.spans {
		if s := &c.spans[i]; s.enc != nil && s.from == from && s.to == to {
			return s.enc
		}
	}
	s := &c.spans[c.next]
	c.next = (c.next + 1) % len(c.spans)
	if s.enc != nil {
		s.enc.close()
	}
	*s = span{from: from, to: to, enc: &Encoding{size: size}}
	return s.enc
}
