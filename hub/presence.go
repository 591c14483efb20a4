package hub

import (
	"encoding/json"
	"time"
)

// Presence is one session's being on a topic: one meta under its user's key, in Phoenix's shape (protocol/phoenix-v2.md
// 8). It is the session's until it leaves, or until a newer session of the same client takes the meta over; from then
// on its methods do nothing. Safe for concurrent use.
type Presence struct {
	table  *presenceTable
	meta   *presenceMeta
	online bool // its metas tell since when
}

// Track makes a session present on a topic under key, its user, with meta, a JSON object (nil is {}).
//
// client is the stable id of the client, of at most MaxName bytes, "" where it is not known. A session that comes back
// is not announced: the same client's takes over the meta that it left behind, be that within its grace or not yet
// noticed to be dead; one of an unknown client takes over the oldest meta of the key that waits in its grace. If the
// meta says the same as before, nobody sees anything, and otherwise an update.
//
// Members phx_ref and phx_ref_prev of meta are left out. Errors: *FieldError ("topic", "key", "client", "meta");
// *LimitError for a meta over Limits.PresenceMetaBytes, for more than Limits.PresencePerTopic of them, and where there
// is no memory for more. Whether the user may be present there is the caller's to check.
func (h *Hub) Track(topic, key, client string, meta json.RawMessage) (*Presence, error) {
	return h.track(topic, key, client, meta, false)
}

// TrackOnline is Track with a member online_at in the meta, unless it has one: the time since when the session is
// present, which coming back does not change.
func (h *Hub) TrackOnline(topic, key, client string, meta json.RawMessage) (*Presence, error) {
	return h.track(topic, key, client, meta, true)
}

func (h *Hub) track(topic, key, client string, meta json.RawMessage, online bool) (*Presence, error) {
	meta, err := h.limits.checkPresence(key, client, meta)
	if err != nil {
		return nil, err
	}
	noRoom := h.makeRoom()
	t, err := h.topics.attachPresences(topic)
	if err != nil {
		return nil, err
	}
	defer t.unlock(t.Tail())
	m := t.findReturning(key, client)
	if m == nil {
		if noRoom == nil {
			noRoom = t.full()
		}
		if noRoom != nil {
			return nil, noRoom
		}
		m = &presenceMeta{table: t, since: time.Now(), heapIndex: -1}
	}
	if online {
		meta = withOnline(meta, m.since)
	}
	p := &Presence{t, m, online}
	t.setOwner(m, p, client)
	if m.key == nil {
		t.add(m, key, meta)
	} else {
		t.replace(m, meta)
	}
	t.shareMeta(m)
	return p, nil
}

// Update replaces the session's meta, but for what TrackOnline added. Readers see one change; nothing where both metas
// say the same. Once the session has left, it does nothing. The new meta is the newest of its key, as it is for clients
// that apply the change. Errors are Track's for a meta.
func (p *Presence) Update(meta json.RawMessage) error {
	t := p.table
	meta, err := t.topic.hub.limits.checkMeta(meta)
	if err != nil {
		return err
	}
	if p.online {
		meta = withOnline(meta, p.meta.since)
	}
	t.Lock()
	defer t.unlock(t.Tail())
	if p.meta.owner == p && p.meta.until.IsZero() {
		t.replace(p.meta, meta)
		t.shareMeta(p.meta)
	}
	return nil
}

// Leave ends the presence now, also one that waits in its grace.
func (p *Presence) Leave() {
	t := p.table
	t.Lock()
	defer t.unlock(t.Tail())
	if p.meta.owner == p {
		t.remove(p.meta)
		t.shareGone(p.meta)
	}
}

// Drop ends the presence after grace, unless it comes back (Track): its connection was lost. Without grace it leaves
// now. Only the first Drop of a presence sets the time.
func (p *Presence) Drop(grace time.Duration) {
	if grace <= 0 {
		p.Leave()
		return
	}
	t := p.table
	t.Lock()
	defer t.unlock(t.Tail())
	if p.meta.owner == p && p.meta.until.IsZero() {
		t.leaveAt(p.meta, time.Now().Add(grace))
		t.shareMeta(p.meta)
	}
}
