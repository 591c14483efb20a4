package log

import (
	"sort"
	"sync/atomic"

	"github.com/duckwire/duckwire/hub/lock"
)

// EncodedTail is for how many of the newest entries the encoded bytes are cached.
const EncodedTail = 64

// EntryBytes is what Size counts for each entry beside its content: the entry itself and the unused capacity of its
// slice.
const EntryBytes = 24

// Log is a bounded, append-only sequence of entries. Entries have the offsets base+1, base+2, …. A text entry only
// records where its text ends in one growing buffer, so any run of text entries is a slice of that buffer: a reader
// that lags gets the run as one item, without copying.
//
// The zero Log is empty and has no epoch: call Init before use.
type Log struct {
	lock.Mutex
	epoch   string
	before  []Position // earlier epochs, the latest first, each with the offset up to which this log equals it
	base    uint64     // the offset of the newest entry that was trimmed
	entries []entry    // base+1, base+2, …
	text    []byte     // all text, from the beginning; a log with text is never trimmed
	bytes   int64      // what the entries take, for limits; without their encodings

	encodings *atomic.Int64 // counts the bytes of encodings; shared with other logs

	delivered       uint64    // the highest offset that any reader was given
	deliveredTokens int       // how many entries up to there count as tokens
	readers         int       // number of open readers
	parked          []*Reader // readers at the tail that wait for a signal
	spare           []*Reader // an empty slice that the next UnlockAndWake reuses
	spans           spanCache
}

// entry is one entry: an event, or text if event is nil.
type entry struct {
	end   int // where the text ends with this entry
	event *Event
}

// isToken reports whether a producer made the entry: text, or an event of the producer's.
func (e *entry) isToken() bool {
	return e.event == nil || e.event.Kind == StreamEvent || e.event.Kind == ChunkEvent
}

// Init gives an empty log its epoch and its earlier ones (Before). encodings counts the bytes that the log caches for
// its readers in encoded form; nil: they are not counted.
func (l *Log) Init(epoch string, before []Position, encodings *atomic.Int64) {
	l.epoch, l.before, l.encodings = epoch, before, encodings
}

// Epoch returns the log's epoch.
func (l *Log) Epoch() string { return l.epoch }

// Before returns the earlier epochs, the latest first, each with the offset up to which this log equals it. The slice
// is shared: never change it.
func (l *Log) Before() []Position { return l.before }

// SetBefore replaces what Before returns.
func (l *Log) SetBefore(before []Position) { l.before = before }

// Base returns the offset of the newest entry that was trimmed. The log has the entries after it.
func (l *Log) Base() uint64 { return l.base }

// Tail returns the offset of the newest entry.
func (l *Log) Tail() uint64 { return l.base + uint64(len(l.entries)) }

// Len returns the number of entries in the log.
func (l *Log) Len() int { return len(l.entries) }

// Size returns about how many bytes the entries take.
func (l *Log) Size() int64 { return l.bytes }

// Position returns the place after the entry with the offset.
func (l *Log) Position(offset uint64) Position { return Position{Epoch: l.epoch, Offset: offset} }

// Text returns the text from byte at on. It is shared: never change it.
func (l *Log) Text(at int) []byte { return l.text[at:len(l.text):len(l.text)] }

// TextLen returns the length of the whole text, in bytes.
func (l *Log) TextLen() int { return len(l.text) }

// First returns the oldest entry's event, or nil if the log is empty or begins with text.
func (l *Log) First() *Event {
	if len(l.entries) == 0 {
		return nil
	}
	return l.entries[0].event
}

// Readers returns the number of open readers.
func (l *Log) Readers() int { return l.readers }

// Parked returns the number of readers that have read everything and wait.
func (l *Log) Parked() int { return len(l.parked) }

// Delivered returns the highest offset that any reader was given, and how many tokens there are up to it.
func (l *Log) Delivered() (offset uint64, tokens int) { return l.delivered, l.deliveredTokens }

// AppendText adds one text entry. UnlockAndWake ends the critical section.
func (l *Log) AppendText(text string) {
	l.text = append(l.text, text...)
	l.push(entry{end: len(l.text)})
	l.bytes += int64(len(text)) + EntryBytes
}

// Append adds ev and sets its offset. UnlockAndWake ends the critical section.
func (l *Log) Append(ev *Event) {
	l.text = append(l.text, ev.Text...)
	ev.Offset = l.Tail() + 1
	ev.Encoding.size = l.encodings
	l.push(entry{end: len(l.text), event: ev})
	l.bytes += ev.Size() + int64(len(ev.Text))
}

// push adds an entry. It frees the encodings of the entry that thereby leaves the encoded tail.
func (l *Log) push(e entry) {
	l.entries = append(l.entries, e)
	if i := len(l.entries) - 1 - EncodedTail; i >= 0 && l.entries[i].event != nil {
		l.entries[i].event.close()
	}
}

// Retire frees the encodings of a log that its owner drops. Readers that are still open encode for themselves.
func (l *Log) Retire() {
	l.eachEncoding((*Encoding).close)
	l.encodings = nil
}

// ClearEncodings frees the encodings of a log. A reader that needs them encodes again. It takes the lock itself.
func (l *Log) ClearEncodings() {
	l.Lock()
	defer l.Unlock()
	l.eachEncoding((*Encoding).clear)
}

// eachEncoding calls f with all encodings that may have bytes: those of the encoded tail, and of runs of text.
func (l *Log) eachEncoding(f func(*Encoding)) {
	for _, e := range l.entries[max(0, len(l.entries)-EncodedTail):] {
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

// Trim drops the oldest entries for as long as drop returns true, and returns them. It is only for logs without text.
func (l *Log) Trim(drop func(ev *Event) bool) (dropped []*Event) {
	n := 0
	for n < len(l.entries) && drop(l.entries[n].event) {
		l.bytes -= l.entries[n].event.Size()
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

// SkipTo makes an empty log continue after the offset, unless it is beyond it already. It does nothing to a log with
// entries.
func (l *Log) SkipTo(offset uint64) {
	if len(l.entries) == 0 {
		l.base = max(l.base, offset)
	}
}

// Begin empties the log and gives it another epoch, in which the first entry follows base. before is as in Before.
// Readers get a Reset at their next read: UnlockAndWake ends the critical section.
func (l *Log) Begin(epoch string, before []Position, base uint64) {
	l.eachEncoding((*Encoding).close)
	l.epoch, l.before, l.base, l.delivered = epoch, before, base, base
	l.entries, l.bytes = nil, 0
	l.text, l.deliveredTokens, l.spans = nil, 0, spanCache{}
}

// maxEarlierEpochs is how many earlier epochs a log remembers.
const maxEarlierEpochs = 16

// NewEpoch gives the log another epoch, and keeps its entries. Up to its tail it equals the previous epoch.
func (l *Log) NewEpoch(epoch string) {
	before := append([]Position{l.Position(l.Tail())}, l.before...)
	l.epoch, l.before = epoch, before[:min(len(before), maxEarlierEpochs)]
}

// SameUpTo returns the offset up to which the log equals what it was in an epoch. known is false if the log does not
// remember that epoch.
func (l *Log) SameUpTo(epoch string) (offset uint64, known bool) {
	if epoch == l.epoch {
		return l.Tail(), true
	}
	for i := range l.before {
		if epoch == l.before[i].Epoch && epoch != "" {
			return l.before[i].Offset, true
		}
	}
	return 0, false
}

// ResetAt returns the Reset that a reader gets if it resumes after p, or nil if the log has all entries after p.
func (l *Log) ResetAt(p Position) *Reset {
	if p.Now || p.Epoch == "" {
		return nil
	}
	return l.reset(p)
}

// reset is ResetAt for a position with an epoch, or for one without an epoch in a log that has none either.
func (l *Log) reset(p Position) *Reset {
	same, known := l.SameUpTo(p.Epoch)
	r := &Reset{Requested: p.String(), From: l.Position(l.base)}
	switch {
	case !known:
		r.Reason = ResetEpoch
	case p.Offset > same:
		r.Reason = ResetAhead
	case p.Offset < l.base:
		r.Reason = ResetTrimmed
	default:
		return nil
	}
	return r
}

// MayCome reports whether a reader cannot resume after p now, but perhaps later, when the log has more entries or
// another epoch.
func (l *Log) MayCome(p Position) bool {
	r := l.ResetAt(p)
	return r != nil && r.Reason != ResetTrimmed
}

// OffsetAt is for a client that has the first at bytes of the text. It returns the offset after which the client reads
// on, and how many bytes of the next entry's text the client already has. Entries without text that follow the first at
// bytes, such as the end, are still to be read.
func (l *Log) OffsetAt(at int) (after uint64, skip int) {
	if at == 0 {
		return l.base, 0
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].end >= at })
	if i < len(l.entries) && l.entries[i].end == at {
		return l.base + uint64(i) + 1, 0
	}
	return l.base + uint64(i), at - l.endOf(i-1)
}

// endOf returns where the text of entries[i] ends; for i = -1, where the text begins.
func (l *Log) endOf(i int) int {
	if i < 0 {
		return 0
	}
	return l.entries[i].end
}
