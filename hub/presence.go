package hub

import (
	"encoding/json"
	"time"
)

// Presence is a session's handle of its presence on a topic: one meta under the key of its user, as in Phoenix's
// Presence (Phoenix: lib/phoenix/presence.ex). The session owns the meta until it leaves, or until a newer session of
// the same client takes the meta over; then the handle's methods do nothing. Safe for concurrent use.
type Presence struct {
	table  *presenceTable
	meta   *presenceMeta
	online bool // its metas get a member online_at
}

// Track makes a session present on a topic under key, its user, with meta, a JSON object (nil is {}).
//
// client is the stable id of the client, of at most MaxName bytes, or "" if it is not known. The return of a client is
// not announced as a join: its new session takes over the meta of its old one, whether that waits in its grace period
// or its connection's end has not been noticed yet. A session of an unknown client takes over the oldest meta of the
// key that is in its grace period. Readers get an update if the new meta has another content, and nothing otherwise.
//
// Members phx_ref and phx_ref_prev of meta are ignored. Errors: *FieldError ("topic", "key", "client", "meta");
// *LimitError for a meta of more than Limits.PresenceMetaBytes, for more than Limits.PresencePerTopic presences, and if
// there is no memory for more. The caller must have checked that the user may be present on the topic.
func (h *Hub) Track(topic, key, client string, meta json.RawMessage) (*Presence, error) {
	return h.track(topic, key, client, meta, false)
}

// TrackOnline is Track with a member online_at in the meta, unless it has one: the time at which the presence began. A
// client that returns keeps it.
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

// Update replaces the session's meta; a member online_at of TrackOnline is added again. Readers get one change, or none
// if both metas have the same content. The new meta becomes the newest of its key, as it does in clients that apply the
// change. Once the session has left, Update does nothing. Errors are those of Track for a meta.
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

// Leave ends the presence at once, also in its grace period.
func (p *Presence) Leave() {
	t := p.table
	t.Lock()
	defer t.unlock(t.Tail())
	if p.meta.owner == p {
		t.remove(p.meta)
		t.shareGone(p.meta)
	}
}

// Drop is called when the session's connection was lost: it starts a grace period, after which the presence ends unless
// its client returns (Track). Without grace, the presence ends at once. Only the first Drop of a presence has an
// effect.
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
