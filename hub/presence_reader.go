package hub

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/log"
)

// PresenceReader reads the changes of a topic's presences. It belongs to one goroutine, which must close it.
type PresenceReader struct {
	reader log.Reader
	table  *presenceTable
}

// SubscribePresence opens a reader of the presences on a topic. wake is signalled when there is more to read. Errors:
// *FieldError for an invalid name; *LimitError for too many topics; ErrClosed.
func (h *Hub) SubscribePresence(topic string, wake log.Waker) (*PresenceReader, error) {
	t, err := h.topics.attachPresences(topic)
	if err != nil {
		return nil, err
	}
	defer t.unlock(t.Tail())
	r := &PresenceReader{table: t}
	t.Open(&r.reader, log.Position{Now: true}, wake, log.ReaderOptions{Silent: true, OnClose: t.readerClosed})
	return r, nil
}

// readerClosed drops the table if it is empty without the reader.
func (t *presenceTable) readerClosed() {
	t.Lock()
	t.unlock(t.Tail())
}

// Topic returns the topic's name.
func (r *PresenceReader) Topic() string { return r.table.topic.name }

// State returns all presences on the topic, the JSON map {"KEY":{"metas":[…]}}, and moves the reader behind them: Read
// returns the changes since. The reader's wake is signalled when there are any. The bytes are shared: never modify
// them.
func (r *PresenceReader) State() []byte {
	t := r.table
	t.Lock()
	defer t.Unlock()
	t.SkipToTail(&r.reader)
	return t.encoded()
}

// StateEvent is State as an event named PresenceState, whose payload it is.
func (r *PresenceReader) StateEvent() *log.Event {
	return r.table.topic.presenceEvent(PresenceState, r.State())
}

// Read appends the next changes to dst, in order, and moves behind them: events named PresenceDiff, with the payload
// {"joins":{…},"leaves":{…}}. They have no position. lost means that changes were dropped that the reader has not read:
// nothing was appended, and the reader must call State again. Otherwise Read is as Reader.Read.
func (r *PresenceReader) Read(dst []log.Item) (items []log.Item, lost bool) {
	items, reset := r.reader.Read(dst)
	if reset != nil {
		return dst, true
	}
	for i := len(dst); i < len(items); i++ {
		items[i].To = 0
	}
	return items, false
}

// Close ends the reader. A second call does nothing.
func (r *PresenceReader) Close() { r.reader.Close() }

// Presences returns the presences on a topic as PresenceReader.State does; {} if there are none.
func (h *Hub) Presences(topic string) []byte {
	state, _ := h.PresenceSnapshot(topic)
	return state
}

// PresenceSnapshot is Presences, with the number of keys.
func (h *Hub) PresenceSnapshot(topic string) (state []byte, keys int) {
	if h.cluster.sharesPresences() {
		if t, err := h.topics.attachPresences(topic); err == nil {
			defer t.unlock(t.Tail())
			return t.encoded(), len(t.byKey)
		}
	}
	if t := h.topics.presences(topic); t != nil {
		t.Lock()
		defer t.Unlock()
		return t.encoded(), len(t.byKey)
	}
	return []byte("{}"), 0
}

// presences returns a topic's table, or nil: it creates neither the topic nor the table.
func (r *topicRegistry) presences(name string) *presenceTable {
	t := r.find(name)
	if t == nil {
		return nil
	}
	t.Lock()
	defer t.Unlock()
	return t.presences
}

// presenceEvent returns an event of the server about the topic's presences.
func (t *topic) presenceEvent(name string, payload []byte) *log.Event {
	ev := &log.Event{Name: name, Time: time.Now()}
	putEnvelope(ev, t.name, "", &EventInput{ID: ulid.Make().String(), Event: name, Payload: payload}, "")
	return ev
}
