package channels

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// documents has the documents whose clients are connected to this node.
type documents struct {
	mu      sync.Mutex
	byTopic map[string]*document
}

// join returns the document of a topic, with h as one of its clients.
func (d *documents) join(topic string, h *yjsHandler) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := d.byTopic[topic]
	if doc == nil {
		doc = &document{limits: h.c.Hub().Limits(), covered: stateVector{}, cursors: map[uint64]knownCursor{}}
		d.byTopic[topic] = doc
	}
	doc.mu.Lock()
	doc.clients = append(doc.clients, h)
	doc.mu.Unlock()
	return doc
}

// leave removes h, and forgets a document without clients.
func (d *documents) leave(topic string, h *yjsHandler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := d.byTopic[topic]
	doc.mu.Lock()
	doc.clients = slices.DeleteFunc(doc.clients, func(other *yjsHandler) bool { return other == h })
	over := len(doc.clients) == 0
	doc.mu.Unlock()
	if over {
		delete(d.byTopic, topic)
	}
}

// document is what this node knows of a Yjs document, from the topic's log and the clients' messages. The document
// itself is in the log: the last whole state, and all updates since. It never merges anything.
type document struct {
	limits hub.Limits

	mu       sync.Mutex
	clients  []*yjsHandler // in the order of their joins
	epoch    string        // of the log; "": nothing was counted
	last     uint64        // the highest offset that was counted
	lost     bool          // the log may have lost updates: a whole state is needed
	covers   uint64        // the offset up to which the last whole state covers the events
	since    []update      // the events behind it, by offset; this state is one of them
	bytes    int64         // of since
	state    int64         // the last whole state's share of it
	wanted   time.Time     // when a whole state was asked for; zero: it is not wanted
	covered  stateVector   // what the log has at least
	answers  [8][32]byte   // hashes of the last answers of clients that came back
	answered int
	cursors  map[uint64]knownCursor
}

// update is an event in the log.
type update struct {
	offset uint64
	size   int64
	at     time.Time
	covers uint64 // of a whole state: the offset up to which it covers the events; 0: it is none
}

// knownCursor is the newest that was told of a client's awareness. from is the session that told it first; nil: one of
// another node.
type knownCursor struct {
	clock uint64
	gone  bool
	from  *yjsHandler
}

// count notes an event of the log of an epoch. Every session tells of every event that it publishes or reads, so most
// are known already, and they come in any order.
func (d *document) count(epoch string, u update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if epoch != d.epoch {
		if d.epoch != "" { // the log may have lost something
			d.covered, d.lost = stateVector{}, true
		}
		if u.offset <= d.last { // it has begun anew
			d.since, d.bytes, d.state, d.covers, d.last = nil, 0, 0, 0, 0
		}
		d.epoch = epoch
	}
	d.last = max(d.last, u.offset)
	i, known := slices.BinarySearchFunc(d.since, u, func(a, b update) int { return cmp.Compare(a.offset, b.offset) })
	if known || u.offset <= d.covers {
		return
	}
	d.since = slices.Insert(d.since, i, u)
	d.bytes += u.size
	if u.covers == 0 {
		return
	}
	d.covers, d.state, d.wanted, d.lost = max(d.covers, u.covers), u.size, time.Time{}, false
	n := 0
	for ; d.since[n].offset <= d.covers; n++ {
		d.bytes -= d.since[n].size
	}
	d.since = slices.Clone(d.since[n:])
}

// eventSize is about what an event with n bytes takes in the log, where it is also in base64.
func eventSize(n int) int64 { return int64(n)*7/3 + 1024 }

// answerTimeout is how long a client has to answer with the whole state, before another one is asked.
const answerTimeout = 10 * time.Second

// needsState reports whether a whole state should be asked for now: before the log's limits can drop what no whole
// state covers. It returns true once for each answerTimeout.
func (d *document) needsState(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	grown := d.bytes - d.state
	due := d.lost || len(d.since) > d.limits.HistoryEvents/2 || grown > 0 && grown > (d.limits.HistoryBytes-d.state)/2 ||
		len(d.since) > 0 && now.Sub(d.since[0].at) > d.limits.HistoryTTL/2
	if !due || now.Sub(d.wanted) < answerTimeout {
		return false
	}
	d.wanted = now
	return true
}

// isWanted reports whether a whole state was asked for, and has not come.
func (d *document) isWanted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.wanted.IsZero()
}

// postpone has needsState return false until a time, because the whole state is too large for a message.
func (d *document) postpone(until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = until
}

// room returns an error if an event of n bytes could make the log drop what no whole state covers.
func (d *document) room(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := eventSize(n)
	events, bytes := d.limits.HistoryEvents*9/10, d.limits.HistoryBytes/10*9
	switch {
	case len(d.since) >= events:
		return &errs.LimitError{
			Kind: errs.ErrLimited, Name: "updates since the document's last whole state (history_events)",
			Limit: int64(d.limits.HistoryEvents), Retry: time.Second,
		}
	case d.state+size > bytes: // which no whole state mends
		return &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "bytes of the document (history_bytes)", Limit: d.limits.HistoryBytes,
		}
	case d.bytes+size > bytes:
		return &errs.LimitError{
			Kind: errs.ErrLimited, Name: "bytes of the document and its updates (history_bytes)",
			Limit: d.limits.HistoryBytes, Retry: time.Second,
		}
	}
	return nil
}

// known returns what the log has at least.
func (d *document) known() stateVector {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := stateVector{}
	v.add(d.covered)
	return v
}

// cover notes that the log has all that a client had.
func (d *document) cover(v stateVector) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.covered.add(v)
}

// isNews reports whether an answer says something that none of the last ones said.
func (d *document) isNews(answer []byte) bool {
	if string(answer) == emptyUpdate {
		return false
	}
	hash := sha256.Sum256(answer)
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.answers[:], hash) {
		return false
	}
	d.answers[d.answered%len(d.answers)] = hash
	d.answered++
	return true
}

// writer returns a client that can be asked for the whole state, not h if possible; nil: there is none.
func (d *document) writer(h *yjsHandler) *yjsHandler {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.clients {
		if c != h && c.mayWrite && c.synced.Load() {
			return c
		}
	}
	return nil
}

// hear notes what awareness says of a client, and reports whether it is news (y-protocols: awareness.js,
// applyAwarenessUpdate). Yjs clients send on what they hear, so most of it is not.
func (d *document) hear(c *cursor, from *yjsHandler) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.cursors[c.client]
	if ok && (c.clock < k.clock || c.clock == k.clock && (!c.gone() || k.gone)) {
		return false
	}
	if !ok || k.gone {
		k.from = from
	}
	if !ok && len(d.cursors) >= d.limits.EphemeralKeys {
		for other := range d.cursors { // any one
			delete(d.cursors, other)
			break
		}
	}
	d.cursors[c.client] = knownCursor{c.clock, c.gone(), k.from}
	return true
}

// isEcho reports whether nothing in a list would be news.
func (d *document) isEcho(list []cursor) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(list, func(c cursor) bool {
		k, ok := d.cursors[c.client]
		return !ok || c.clock > k.clock || c.clock == k.clock && c.gone() && !k.gone
	})
}

// gone returns the ends of the cursors that a session told first.
func (d *document) gone(from *yjsHandler) (list []cursor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for client, k := range d.cursors {
		if k.from == from && !k.gone {
			list = append(list, cursor{client, k.clock, []byte("null")})
		}
	}
	return list
}

// yjsState is the event of a whole state: the offset up to which it covers the log's events, as a varint, and then the
// message of an update. It is sent to clients as "yjs".
const yjsState = "yjs_state"

// epochOf returns the epoch of an event's position, which stands at the end of its envelope.
func epochOf(ev *log.Event) string {
	const member = `"position":"`
	tail := string(ev.Data[max(0, len(ev.Data)-log.MaxPosition-len(member+`"}`)):])
	_, position, _ := strings.Cut(tail, member)
	return position[:max(0, strings.LastIndexByte(position, '.'))]
}

// readState reads an event of yjsState; ok is false for others.
func readState(ev *log.Event) (covers uint64, message []byte, ok bool) {
	if ev.Name != yjsState {
		return 0, nil, false
	}
	covers, n := binary.Uvarint(ev.Bytes)
	if n <= 0 {
		return 0, nil, false
	}
	return min(covers, ev.Offset-1), ev.Bytes[n:], true
}
