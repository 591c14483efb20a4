package hub

import (
	"container/list"
	"encoding/json"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// maxDiffs is how many changes of a topic's presences are kept for readers that lag. Those that lag more get the whole
// state.
const maxDiffs = 128

// The events that tell of presences (protocol/phoenix-v2.md 8.1).
const (
	PresenceState = "presence_state"
	PresenceDiff  = "presence_diff"
)

// presenceTable is who is on a topic, and the log of what changed: a reader has the state at some offset, and reads on
// from there. Each change appends one entry, so the log's tail is the table's version. A topic has a table while it
// holds a meta or has a reader; its log's lock guards it.
type presenceTable struct {
	log.Log
	topic   *topic
	dropped bool      // dropped: whoever holds it must look it up again
	order   list.List // of *presenceKey, those that came first before the others
	byKey   map[string]*list.Element
	metas   int
	size    int64  // of the state's encoding
	state   []byte // the encoding, or nil since the last change

	countedBytes int64 // its part of Hub.logBytes

	ownMetas int            // metas of this node's sessions
	waiting  int            // callers that wait until the other nodes' metas are known: the table stays
	share    *presenceShare // nil: all are this node's
}

// presenceKey is one user's metas, the oldest first. A meta that replaces another is the newest: so every client that
// applies the diffs has them in the same order as one that comes later.
type presenceKey struct {
	name  string
	metas []*presenceMeta
}

// presenceMeta is one session's meta. Its table's lock guards it, but for slot.
type presenceMeta struct {
	table  *presenceTable
	key    *presenceKey // nil until it is in the table
	client string
	meta   json.RawMessage // as the session gave it
	ref    string
	data   []byte // meta with its refs
	since  time.Time
	owner  *Presence // nil: it has left
	until  time.Time // when it leaves; zero: it is live

	heapIndex int // its index in expiry.queue, or -1; guarded by expiry.mu

	present     bool   // it is in the table
	id          string // the ref that it began with
	node        string // of its session; "": this one
	generation  int    // how many nodes have taken it over
	assignedRef string // the ref that it is to get; "": a new one
}

// metaBytes estimates what a meta takes beside its text, for limits. The text counts twice: as it was given, and with
// its refs.
const metaBytes = 256

// lockPresences returns the topic's table, made now if there is none, with its mu held: unlock lets it go, and drops it
// where it is empty.
func (r *topicRegistry) lockPresences(name string) (*presenceTable, error) {
	for {
		t, err := r.findOrCreate(name)
		if err != nil {
			return nil, err
		}
		t.Lock()
		if t.presences == nil && !t.dropped {
			t.presences = &presenceTable{topic: t, byKey: make(map[string]*list.Element)}
			t.presences.SetClass(lock.PresenceTable)
			t.presences.Init("", nil, &r.hub.encoded)
			t.presences.initShare()
		}
		p := t.presences
		t.Unlock()
		if p == nil {
			continue
		}
		if p.Lock(); !p.dropped {
			return p, nil
		}
		p.Unlock()
	}
}

// unlock ends a critical section that began with the log's tail at before: readers are woken if there was a change. An
// empty table is dropped.
func (t *presenceTable) unlock(before uint64) {
	if t.release(before) {
		t.topic.dropPresences()
	}
}

// release is unlock without the dropping: it reports whether the table is empty.
func (t *presenceTable) release(before uint64) (empty bool) {
	if t.dropped { // of a session that left it long ago
		t.Unlock()
		return false
	}
	size := t.Size() + 2*t.size + int64(t.metas)*metaBytes
	t.topic.hub.logBytes.Add(size - t.countedBytes)
	t.countedBytes = size
	empty = t.empty()
	if t.Tail() != before {
		t.UnlockAndWake()
	} else {
		t.Unlock()
	}
	return empty
}

// empty reports whether nothing holds the table. t.mu is held.
func (t *presenceTable) empty() bool { return t.ownMetas == 0 && t.Readers() == 0 && t.waiting == 0 }

// dropPresences forgets the topic's table if nothing holds it.
func (t *topic) dropPresences() {
	if m := t.forgetPresences(); m != nil {
		m.Close()
	}
}

// forgetPresences returns the mirror of a table that it has forgotten, which is to be closed.
func (t *topic) forgetPresences() *mirror.Mirror[[]SharedPresence] {
	t.Lock()
	defer t.Unlock()
	p := t.presences
	if p == nil {
		return nil
	}
	p.Lock()
	defer p.Unlock()
	if !p.empty() {
		return nil
	}
	p.dropped = true
	p.Retire()
	t.presences = nil
	t.lastUsed = time.Now()
	t.hub.logBytes.Add(-p.countedBytes)
	p.countedBytes = 0
	return p.closeShare()
}

// full returns the error for one meta too many.
func (t *presenceTable) full() error {
	limit := t.topic.hub.limits.PresencePerTopic
	if t.metas < limit {
		return nil
	}
	return &errs.LimitError{Kind: errs.ErrLimited, Name: "presences on one topic (presence_per_topic)", Limit: int64(limit), Retry: 10 * time.Second}
}

// returning finds the meta that a new session takes over, or nil.
func (t *presenceTable) findReturning(key, client string) *presenceMeta {
	el := t.byKey[key]
	if el == nil {
		return nil
	}
	for _, m := range el.Value.(*presenceKey).metas {
		if client == "" && !m.until.IsZero() || client != "" && m.client == client {
			return m
		}
	}
	return nil
}

// give makes p the owner of m, which leaves its grace if it is in it.
func (t *presenceTable) setOwner(m *presenceMeta, p *Presence, client string) {
	t.topic.hub.expiry.remove(m)
	if m.node != "" { // its session was on another node
		m.node = ""
		m.generation++
		t.ownMetas++
	}
	m.owner, m.client, m.until = p, client, time.Time{}
}

// linger lets m leave at a time.
func (t *presenceTable) leaveAt(m *presenceMeta, until time.Time) {
	m.until = until
	t.topic.hub.expiry.add(m)
}

// add puts a new meta under key.
func (t *presenceTable) add(m *presenceMeta, key string, meta json.RawMessage) {
	el := t.byKey[key]
	if el == nil {
		el = t.order.PushBack(&presenceKey{name: key})
		t.byKey[key] = el
		t.size += keyBytes(key)
	}
	m.key = el.Value.(*presenceKey)
	m.set(meta, "")
	if m.id == "" {
		m.id = m.ref
	}
	if m.node == "" {
		t.ownMetas++
	}
	if t.share != nil {
		t.share.byID[m.id] = m
	}
	m.present = true
	t.append(m)
	t.publish(m.key.name, m.data, nil)
}

// replace gives m another meta, unless it says the same.
func (t *presenceTable) replace(m *presenceMeta, meta json.RawMessage) {
	if m.assignedRef == "" && sameMeta(m.meta, meta) {
		return
	}
	old := m.data
	t.detach(m)
	m.set(meta, m.ref)
	t.append(m)
	t.publish(m.key.name, m.data, old)
}

// remove ends m.
func (t *presenceTable) remove(m *presenceMeta) {
	t.topic.hub.expiry.remove(m)
	m.owner, m.present = nil, false
	if m.node == "" {
		t.ownMetas--
	}
	if t.share != nil {
		delete(t.share.byID, m.id)
	}
	t.detach(m)
	if len(m.key.metas) == 0 {
		t.order.Remove(t.byKey[m.key.name])
		delete(t.byKey, m.key.name)
		t.size -= keyBytes(m.key.name)
	}
	t.publish(m.key.name, nil, m.data)
}

// expire ends m if its grace is over: it may have come back since that was seen.
func (t *presenceTable) expire(m *presenceMeta, now time.Time) {
	t.Lock()
	defer t.unlock(t.Tail())
	if m.present && !m.until.IsZero() && !m.until.After(now) {
		t.remove(m)
		t.shareGone(m)
	}
}

// set gives m its content and a new ref; prev is the ref of the meta that it replaces.
func (m *presenceMeta) set(meta json.RawMessage, prev string) {
	m.meta, m.ref, m.assignedRef = meta, m.assignedRef, ""
	if m.ref == "" {
		m.ref = m.table.nextRef()
	}
	m.data = withRefs(meta, m.ref, prev)
}

// nextRef returns a new phx_ref, which is unique among all nodes and restarts, as the epochs of logs are.
func (t *presenceTable) nextRef() string {
	h := t.topic.hub
	return h.epochs.Boot() + "." + strconv.FormatUint(h.presenceRefs.Add(1), 36)
}

// append makes m the newest of its key.
func (t *presenceTable) append(m *presenceMeta) {
	m.key.metas = append(m.key.metas, m)
	t.metas++
	t.size += int64(len(m.data)) + 1
}

// cut takes m out of its key, which may be left without metas.
func (t *presenceTable) detach(m *presenceMeta) {
	list := m.key.metas
	for i := range list {
		if list[i] == m {
			m.key.metas = append(list[:i], list[i+1:]...)
			list[len(list)-1] = nil
			break
		}
	}
	t.metas--
	t.size -= int64(len(m.data)) + 1
}

// publish appends one diff: a meta of key that joins, one that leaves, or the one in place of the other. Nil is none.
func (t *presenceTable) publish(key string, join, leave []byte) {
	t.state = nil
	b := make([]byte, 0, len(join)+len(leave)+2*len(key)+64)
	b = append(b, `{"joins":{`...)
	b = appendPresent(b, key, join)
	b = append(b, `},"leaves":{`...)
	b = appendPresent(b, key, leave)
	ev := t.topic.presenceEvent(PresenceDiff, append(b, "}}"...))
	t.Append(ev)
	ev.Offset = 0 // its place is nobody's to resume from
	over := t.Len() - maxDiffs
	t.Trim(func(*log.Event) bool { over--; return over >= 0 })
}

// appendPresent appends one key with one meta; nothing for none.
func appendPresent(dst []byte, key string, meta []byte) []byte {
	if meta == nil {
		return dst
	}
	dst = jsonw.AppendString(dst, key)
	dst = append(dst, `:{"metas":[`...)
	dst = append(dst, meta...)
	return append(dst, "]}"...)
}

// keyBytes is what a key takes in the state, about.
func keyBytes(key string) int64 { return int64(len(key) + len(`"":{"metas":[]},`)) }

// encoded returns the whole map, encoded once for each version. It is shared and never changed. t.mu is held.
func (t *presenceTable) encoded() []byte {
	if t.state != nil {
		return t.state
	}
	b := append(make([]byte, 0, t.size+2), '{')
	for el := t.order.Front(); el != nil; el = el.Next() {
		key := el.Value.(*presenceKey)
		b = append(jsonw.AppendKey(b, key.name), `{"metas":[`...)
		for i, m := range key.metas {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, m.data...)
		}
		b = append(b, "]}"...)
	}
	t.state = append(b, '}')
	return t.state
}
