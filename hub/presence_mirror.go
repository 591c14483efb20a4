package hub

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// A PresenceStore keeps who is present on topics for several nodes: what one saves, all that follow the topic hear. Safe for concurrent use. Errors
// match ErrUnavailable.
type PresenceStore interface {
	// SavePresences puts metas of a topic in the place of those with the same ids, all or none, but for those whose Turn is lower than that of the one
	// that is there: these have been taken over by another node meanwhile.
	SavePresences(topic string, metas []SharedPresence) error
	// Presences returns the metas of a topic.
	Presences(topic string) ([]SharedPresence, error)
	// FollowPresences calls heard with what is saved, in order, and gap when something may have been missed, first of all when the following begins.
	// They are called one at a time, and must not block. None is called after stop has returned, but for one that runs at that moment.
	FollowPresences(topic string, heard func([]SharedPresence), gap func()) (stop func())
}

// SharedPresence is one session's meta as the nodes share it.
type SharedPresence struct {
	ID     string          `json:"id"`             // the ref that it began with
	Turn   int             `json:"turn,omitempty"` // how many nodes have taken it over
	Node   string          `json:"node"`           // where its session is, or was
	Key    string          `json:"key,omitempty"`
	Client string          `json:"client,omitempty"`
	Meta   json.RawMessage `json:"meta,omitempty"`
	Ref    string          `json:"ref,omitempty"`
	Since  int64           `json:"since,omitempty"` // Unix time in ms
	Until  int64           `json:"until,omitempty"` // Unix time in ms at which it leaves; 0: it is live
	Gone   bool            `json:"gone,omitempty"`  // it has left
}

// presenceShare is a table's part in what the nodes share. Its table's lock guards it.
type presenceShare struct {
	stop    func()
	over    bool
	loading bool
	stale   bool
	held    []SharedPresence // heard while the store is asked
	late    bool             // it has not answered in time: nobody waits any more
	loaded  chan struct{}    // closed when the store was asked with success for the first time
	byID    map[string]*presenceMeta
	unsaved map[string]SharedPresence
}

// presenceOut are the tables with changes that the others have not been told.
type presenceOut struct {
	store  PresenceStore // nil: presences are this node's alone
	mu     sync.Mutex
	tables map[*presenceTable]struct{}
	wake   *log.Wake
}

// shareTable makes a new table one of what the nodes share. t is locked by nobody else yet.
func (t *presenceTable) shareTable() {
	if t.topic.hub.presenceOut.store == nil {
		return
	}
	t.share = &presenceShare{loaded: make(chan struct{}), byID: make(map[string]*presenceMeta), unsaved: make(map[string]SharedPresence)}
}

// attachPresences returns the topic's table as lockPresences does, once it knows who is there on other nodes. A store that cannot be reached keeps
// nobody waiting for long.
func (h *Hub) attachPresences(name string) (*presenceTable, error) {
	for {
		t, err := h.lockPresences(name)
		if err != nil || t.share == nil {
			return t, err
		}
		select {
		case <-t.share.loaded:
			return t, nil
		default:
		}
		if t.share.late {
			return t, nil
		}
		loaded, begin := t.share.loaded, t.share.stop == nil
		if begin {
			t.share.stop = func() {}
		}
		t.waiting++ // it stays
		t.Unlock()
		if begin {
			t.follow()
		}
		err = h.await(loaded)
		t.Lock()
		t.waiting--
		if err != nil {
			if h.isClosing() {
				t.unlock(t.Tail())
				return nil, errs.ErrClosed
			}
			h.logger.Warn("who is present on other nodes is not known yet", "topic", name, "error", err)
			t.share.late = true
		}
		if !t.gone {
			return t, nil
		}
		t.Unlock()
	}
}

// presenceTimeout is how long somebody waits to know who is present on other nodes.
const presenceTimeout = 3 * time.Second

func (h *Hub) await(loaded <-chan struct{}) error {
	late := time.NewTimer(presenceTimeout)
	defer late.Stop()
	select {
	case <-loaded:
		return nil
	case <-late.C:
	case <-h.ctx.Done():
	}
	return fmt.Errorf("it has not come in time: %w", errs.ErrUnavailable)
}

// follow begins to hear of what other nodes save.
func (t *presenceTable) follow() {
	stop := t.topic.hub.presenceOut.store.FollowPresences(t.topic.name, t.hear, t.refresh)
	t.Lock()
	over := t.share.over
	t.share.stop = stop
	t.Unlock()
	if over {
		stop()
	}
}

// endShare ends the table's part. t.mu is held.
func (t *presenceTable) endShare() {
	if t.share == nil {
		return
	}
	t.share.over = true
	if t.share.stop != nil {
		t.share.stop()
	}
	for _, m := range t.share.byID {
		t.topic.hub.graces.remove(m)
	}
}

// hear takes what a node has saved.
func (t *presenceTable) hear(metas []SharedPresence) {
	t.Lock()
	defer t.unlock(t.Tail())
	s := t.share
	switch {
	case t.gone:
	case s.loading && len(s.held) < maxHeld:
		s.held = append(s.held, metas...) // what is being read may be older
	case s.loading:
		s.held, s.stale = nil, true
	default:
		t.takeEach(metas)
	}
}

func (t *presenceTable) takeEach(metas []SharedPresence) {
	for i := range metas {
		t.takeShared(&metas[i])
	}
}

// refresh has the store asked who is there.
func (t *presenceTable) refresh() {
	t.Lock()
	defer t.Unlock()
	if s := t.share; !s.over {
		s.stale = true
		if !s.loading {
			s.loading = t.topic.hub.goes(t.reload)
		}
	}
}

// reload asks the store until it answers.
func (t *presenceTable) reload() {
	h := t.topic.hub
	for failures := 0; ; {
		t.Lock()
		if t.share.over || !t.share.stale {
			t.share.loading = false
			before := t.Tail()
			if !t.gone {
				t.takeEach(t.share.held)
			}
			t.share.held = nil
			t.unlock(before)
			return
		}
		t.share.stale = false
		t.Unlock()
		metas, err := h.presenceOut.store.Presences(t.topic.name)
		if err == nil {
			failures = 0
			t.takeAll(metas)
			continue
		}
		failures++
		t.Lock()
		t.share.stale = true
		t.Unlock()
		if !h.PauseAfter(failures) {
			t.Lock()
			t.share.loading = false
			t.Unlock()
			return
		}
	}
}

// takeAll brings the table to what the store has.
func (t *presenceTable) takeAll(metas []SharedPresence) {
	h := t.topic.hub
	for i := range metas {
		if m := &metas[i]; m.Node != h.Node() && m.Until == 0 && !h.shared.Alive(m.Node) {
			m.Gone = true // its node has died, and nobody was there to see it
		}
	}
	t.Lock()
	defer t.unlock(t.Tail())
	if t.gone {
		return
	}
	kept := make(map[string]bool, len(metas))
	for i := range metas {
		m := &metas[i]
		kept[m.ID] = true
		if own := t.share.byID[m.ID]; m.Gone || own == nil && m.Node == h.Node() {
			m.Gone = true // of this node, and left while the store could not be reached
			t.save(*m)
		}
		t.takeShared(m)
	}
	for id, m := range t.share.byID {
		switch {
		case kept[id]:
		case m.node == "":
			t.shareMeta(m) // the store has lost it
		default:
			t.remove(m)
		}
	}
	t.takeEach(t.share.held)
	t.share.held = nil
	select {
	case <-t.share.loaded:
	default:
		close(t.share.loaded)
	}
}

// takeShared takes one meta of another node's. What this node has saved itself comes here, too, and changes nothing. t.mu is held.
func (t *presenceTable) takeShared(p *SharedPresence) {
	h := t.topic.hub
	m := t.share.byID[p.ID]
	switch {
	case m != nil && (p.Turn < m.turn || m.node == "" && p.Turn == m.turn):
		return // of before this node took it over, or its own
	case p.Gone && m != nil:
		t.remove(m)
		return
	case p.Gone || p.Node == h.Node():
		return
	case m == nil:
		m = &presenceMeta{table: t, since: time.UnixMilli(p.Since), slot: -1, id: p.ID, node: p.Node, turn: p.Turn, client: p.Client}
		m.given = p.Ref
		t.add(m, p.Key, p.Meta)
	default:
		if m.node == "" { // its client has come to another node
			t.own--
			m.owner = nil
		}
		h.graces.remove(m)
		m.node, m.turn, m.client, m.until = p.Node, p.Turn, p.Client, time.Time{}
		if m.ref != p.Ref {
			m.given = p.Ref
			t.replace(m, p.Meta)
		}
	}
	if p.Until > 0 {
		t.linger(m, time.UnixMilli(p.Until))
	}
}

// shareMeta has the other nodes told of a meta of this node's. t.mu is held.
func (t *presenceTable) shareMeta(m *presenceMeta) {
	if t.share == nil || m.key == nil {
		return
	}
	p := SharedPresence{
		ID: m.id, Turn: m.turn, Node: t.topic.hub.Node(), Key: m.key.name, Client: m.client, Meta: m.meta, Ref: m.ref, Since: m.since.UnixMilli(),
	}
	if !m.until.IsZero() {
		p.Until = m.until.UnixMilli()
	}
	t.save(p)
}

// shareGone has the other nodes told that a meta has left. t.mu is held.
func (t *presenceTable) shareGone(m *presenceMeta) {
	if t.share != nil {
		t.save(SharedPresence{ID: m.id, Turn: m.turn, Node: t.topic.hub.Node(), Gone: true})
	}
}

func (t *presenceTable) save(p SharedPresence) {
	t.share.unsaved[p.ID] = p
	out := &t.topic.hub.presenceOut
	out.mu.Lock()
	out.tables[t] = struct{}{}
	out.mu.Unlock()
	out.wake.Signal()
}

// presenceEvery is for how long changes of presences are gathered before the other nodes are told.
const presenceEvery = 10 * time.Millisecond

// sharePresences tells the other nodes of changes until stop is closed, and once more then.
func (h *Hub) sharePresences(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			h.savePresences()
			return
		case <-h.presenceOut.wake.C:
		}
		if !h.savePresences() {
			h.presenceOut.wake.Signal()
			h.Pause(time.Second)
		}
		h.Pause(presenceEvery)
	}
}

// savePresences reports whether all was saved.
func (h *Hub) savePresences() bool {
	out := &h.presenceOut
	out.mu.Lock()
	tables := out.tables
	out.tables = make(map[*presenceTable]struct{})
	out.mu.Unlock()
	ok := true
	for t := range tables {
		ok = t.saveUnsaved() && ok
	}
	return ok
}

func (t *presenceTable) saveUnsaved() bool {
	t.Lock()
	unsaved := t.share.unsaved
	t.share.unsaved = make(map[string]SharedPresence)
	t.Unlock()
	metas := make([]SharedPresence, 0, len(unsaved))
	for _, p := range unsaved {
		metas = append(metas, p)
	}
	if len(metas) == 0 || t.topic.hub.presenceOut.store.SavePresences(t.topic.name, metas) == nil {
		return true
	}
	t.Lock()
	defer t.Unlock()
	for _, p := range metas {
		if _, newer := t.share.unsaved[p.ID]; !newer {
			t.save(p)
		}
	}
	return false
}

// presencesOf calls f with each table, locked.
func (h *Hub) eachPresences(f func(t *presenceTable)) {
	for _, topic := range h.allTopics() {
		topic.Lock()
		t := topic.presences
		topic.Unlock()
		if t == nil || t.share == nil {
			continue
		}
		t.Lock()
		before := t.Tail()
		f(t)
		t.unlock(before)
	}
}

// buryPresences ends the metas of a node that has died, but for those that leave by themselves.
func (h *Hub) buryPresences(node string) {
	h.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == node && m.until.IsZero() {
				t.remove(m)
				t.shareGone(m)
			}
		}
	})
}

// shareAllPresences tells the other nodes of all metas of this node's again.
func (h *Hub) shareAllPresences() {
	h.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == "" {
				t.shareMeta(m)
			}
		}
	})
}

// nodeGrace is for how long the sessions of a node that ends may come back to another, where nobody has said how long yet.
const nodeGrace = 15 * time.Second

// lingerAll lets all metas of this node's that are live leave after a time: the node ends, and its sessions may come back to another.
func (h *Hub) lingerAll(grace time.Duration) {
	until := time.Now().Add(grace)
	h.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == "" && m.until.IsZero() {
				t.linger(m, until)
				t.shareMeta(m)
			}
		}
	})
}
