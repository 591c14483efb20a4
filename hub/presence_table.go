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

// maxDiffs is how many changes of a topic's presences are retained. A reader that is further behind must read the whole
// state.
const maxDiffs = 128

// The events about presences have Phoenix's names (Phoenix: lib/phoenix/presence.ex).
const (
	PresenceState = "presence_state"
	PresenceDiff  = "presence_diff"
)

// presenceTable has the presences on a topic, and the log of their changes. A reader gets the state at some offset, and
// reads the changes from there. Each change appends one entry, so the log's tail is the table's version. A topic has a
// table while this node has a meta or a reader of it. The table is guarded by its log's lock.
type presenceTable struct {
	log.Log
	topic   *topic
	dropped bool      // not the topic's table any more: callers must look it up again
	order   list.List // of *presenceKey, in the order in which they were added
	byKey   map[string]*list.Element
	metas   int
	size    int64  // size of the state's JSON, an estimate
	state   []byte // the cached JSON of all presences; nil since the last change

	countedBytes int64 // what it has added to Hub.logBytes

	ownMetas int            // metas that this node owns
	waiting  int            // callers of attachPresences that wait for the load: the table is not dropped
	share    *presenceShare // nil: presences are local to the node
}

// presenceKey has the metas of one user, the oldest first. A meta that replaces another becomes the newest. So a client
// that applies the changes has the same order as one that reads the state.
type presenceKey struct {
	name  string
	metas []*presenceMeta
}

// presenceMeta is one session's meta. Its table's lock guards it, except for heapIndex.
type presenceMeta struct {
	table  *presenceTable
	key    *presenceKey // nil until it is added to the table
	client string
	meta   json.RawMessage // as the session has given it
	ref    string
	data   []byte // meta with its refs, as readers get it
	since  time.Time
	owner  *Presence // the handle that may change it; nil: it has left, or its session is on another node
	until  time.Time // when its grace period ends; zero: it is live

	heapIndex int // in presenceExpiry's heap, or -1; guarded by presenceExpiry.mu

	present     bool   // it is in the table
	id          string // the first phx_ref that it had
	node        string // the node that owns it; "": this one
	generation  int    // how many nodes have taken it over: the store rejects changes of a lower one
	assignedRef string // the phx_ref that its owner node has given it; "": this node generates one
}

// metaBytes estimates the memory of a meta in addition to its text, for limits. The text counts twice: as it was given,
// and with its refs.
const metaBytes = 256

// lockPresences returns the topic's table, locked; it creates a table if there is none. The caller unlocks it with
// unlock, which drops a table that is empty.
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

// unlock ends a critical section that began when the log's tail was before. It signals the readers if there was a
// change, and drops the table if it is empty.
func (t *presenceTable) unlock(before uint64) {
	if t.release(before) {
		t.topic.dropPresences()
	}
}

// release is unlock, except that it does not drop the table: it reports whether the table is empty.
func (t *presenceTable) release(before uint64) (empty bool) {
	if t.dropped { // the handle of a session may outlive the table
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

// empty reports whether this node has no metas, readers or waiting callers of the table. t is locked.
func (t *presenceTable) empty() bool { return t.ownMetas == 0 && t.Readers() == 0 && t.waiting == 0 }

// dropPresences drops the topic's table if it is empty. Nothing may be locked: it closes the table's mirror.
func (t *topic) dropPresences() {
	if m := t.forgetPresences(); m != nil {
		m.Close()
	}
}

// forgetPresences does the part of dropPresences that needs locks. It returns the mirror of a dropped table, or nil.
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

// full returns an error if the topic has as many presences as it may. t is locked.
func (t *presenceTable) full() error {
	limit := t.topic.hub.limits.PresencePerTopic
	if t.metas < limit {
		return nil
	}
	return &errs.LimitError{
		Kind: errs.ErrLimited, Name: "presences on one topic (presence_per_topic)", Limit: int64(limit),
		Retry: 10 * time.Second,
	}
}

// findReturning returns the meta that a new session takes over (Hub.Track), or nil.
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

// setOwner makes p the owner of m, and ends m's grace period.
func (t *presenceTable) setOwner(m *presenceMeta, p *Presence, client string) {
	t.topic.hub.expiry.remove(m)
	if m.node != "" { // its session was on another node
		m.node = ""
		m.generation++
		t.ownMetas++
	}
	m.owner, m.client, m.until = p, client, time.Time{}
}

// leaveAt starts m's grace period, which ends at a time.
func (t *presenceTable) leaveAt(m *presenceMeta, until time.Time) {
	m.until = until
	t.topic.hub.expiry.add(m)
}

// add adds a new meta under key.
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

// replace replaces the content of m, unless it is the same.
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

// expire ends m if its grace period is over: its client may have returned since the caller has checked that.
func (t *presenceTable) expire(m *presenceMeta, now time.Time) {
	t.Lock()
	defer t.unlock(t.Tail())
	if m.present && !m.until.IsZero() && !m.until.After(now) {
		t.remove(m)
		t.shareGone(m)
	}
}

// set sets m's content, and its next ref. prev is the ref that it replaces.
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

// append makes m the newest meta of its key.
func (t *presenceTable) append(m *presenceMeta) {
	m.key.metas = append(m.key.metas, m)
	t.metas++
	t.size += int64(len(m.data)) + 1
}

// detach removes m from its key, which may be left without metas.
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

// publish appends one change: under key the meta join is added, leave is removed, or join replaces leave. Either may be
// nil.
func (t *presenceTable) publish(key string, join, leave []byte) {
	t.state = nil
	b := make([]byte, 0, len(join)+len(leave)+2*len(key)+64)
	b = append(b, `{"joins":{`...)
	b = appendPresent(b, key, join)
	b = append(b, `},"leaves":{`...)
	b = appendPresent(b, key, leave)
	ev := t.topic.presenceEvent(PresenceDiff, append(b, "}}"...))
	t.Append(ev)
	ev.Offset = 0 // presence changes have no position: readers resume from the state
	over := t.Len() - maxDiffs
	t.Trim(func(*log.Event) bool { over--; return over >= 0 })
}

// appendPresent appends one key with one meta; nothing if meta is nil.
func appendPresent(dst []byte, key string, meta []byte) []byte {
	if meta == nil {
		return dst
	}
	dst = jsonw.AppendString(dst, key)
	dst = append(dst, `:{"metas":[`...)
	dst = append(dst, meta...)
	return append(dst, "]}"...)
}

// keyBytes estimates the size of a key in the state.
func keyBytes(key string) int64 { return int64(len(key) + len(`"":{"metas":[]},`)) }

// encoded returns the JSON of all presences, which is encoded once for each version. It is shared: never modify it. t
// is locked.
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
