package hub

import (
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/mirror"
)

// presenceLoadTimeout is how long somebody waits to know who is present on other nodes.
const presenceLoadTimeout = 3 * time.Second

// presenceShare is a table's part in what the nodes share. Its table's lock guards it.
type presenceShare struct {
	mirror  *mirror.Mirror[[]SharedPresence]
	started bool // the mirror was started
	ready   bool // who is there on other nodes is known, or has not come in time: nobody waits any more
	byID    map[string]*presenceMeta
	unsaved map[string]SharedPresence // what the other nodes have not been told
}

// shareTable makes a new table one of what the nodes share. t is locked by nobody else yet.
func (t *presenceTable) initShare() {
	h := t.topic.hub
	if !h.cluster.sharesPresences() {
		return
	}
	t.share = &presenceShare{byID: make(map[string]*presenceMeta), unsaved: make(map[string]SharedPresence)}
	t.share.mirror = mirror.New(presenceReplica{t}, &h.background)
}

// attachPresences returns the topic's table as lockPresences does, once it knows who is there on other nodes. A store
// that cannot be reached keeps nobody waiting for long.
func (r *topicRegistry) attachPresences(name string) (*presenceTable, error) {
	for {
		t, err := r.lockPresences(name)
		if err != nil || t.share == nil || t.share.ready {
			return t, err
		}
		m, begun := t.share.mirror, t.share.started
		t.share.started = true
		t.waiting++ // it stays
		t.Unlock()
		if !begun {
			m.Start()
		}
		err = m.Loaded(presenceLoadTimeout)
		t.Lock()
		t.waiting--
		if errors.Is(err, errs.ErrClosed) && r.hub.background.isClosing() {
			t.unlock(t.Tail())
			return nil, errs.ErrClosed
		}
		if err != nil {
			r.hub.logger.Warn("who is present on other nodes is not known yet", "topic", name, "error", err)
		}
		t.share.ready = true
		if !t.dropped {
			return t, nil
		}
		t.Unlock()
	}
}

// endShare ends the table's part, and returns the mirror, which is to be closed once nothing is locked any more. t is
// locked.
func (t *presenceTable) closeShare() *mirror.Mirror[[]SharedPresence] {
	if t.share == nil {
		return nil
	}
	for _, m := range t.share.byID {
		t.topic.hub.expiry.remove(m)
	}
	return t.share.mirror
}

// presenceReplica is a table as its mirror sees it.
type presenceReplica struct{ *presenceTable }

// Follow implements mirror.Replica.
func (r presenceReplica) Follow(heard func([]SharedPresence), gap func()) (stop func()) {
	return r.topic.hub.cluster.presences.FollowPresences(r.topic.name, heard, gap)
}

// Load implements mirror.Replica.
func (r presenceReplica) Load() error {
	metas, err := r.topic.hub.cluster.presences.Presences(r.topic.name)
	if err == nil {
		r.reconcile(metas)
	}
	return err
}

// Take implements mirror.Replica. Each meta stands for itself, so a change always joins. A table that is empty then is
// dropped by somebody else: that closes the mirror, which is locked now. What was heard before the store was read is
// left out: somebody may have left since, whose leaving was not heard.
func (r presenceReplica) Take(metas []SharedPresence, covered bool) bool {
	if covered {
		return true
	}
	r.Lock()
	before := r.Tail()
	if !r.dropped {
		for i := range metas {
			r.applyShared(&metas[i])
		}
	}
	if r.release(before) {
		r.topic.hub.background.TryGo(r.topic.dropPresences)
	}
	return true
}

// takeAll brings the table to what the store has.
func (t *presenceTable) reconcile(metas []SharedPresence) {
	h := t.topic.hub
	for i := range metas {
		if m := &metas[i]; m.Node != h.Node() && m.Until == 0 && !h.cluster.streams.Alive(m.Node) {
			m.Gone = true // its node has died, and nobody was there to see it
		}
	}
	t.Lock()
	defer t.unlock(t.Tail())
	if t.dropped {
		return
	}
	kept := make(map[string]bool, len(metas))
	for i := range metas {
		m := &metas[i]
		kept[m.ID] = true
		if own := t.share.byID[m.ID]; m.Gone || own == nil && m.Node == h.Node() {
			m.Gone = true // of this node, and left while the store could not be reached
			t.markUnsaved(*m)
		}
		t.applyShared(m)
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
}

// takeShared takes one meta of another node's. What this node has saved itself comes here, too, and changes nothing.
// t.mu is held.
func (t *presenceTable) applyShared(p *SharedPresence) {
	h := t.topic.hub
	m := t.share.byID[p.ID]
	switch {
	case m != nil && p.Generation < m.generation:
		return // of before this node took it over
	case m != nil && m.node == "" && p.Generation == m.generation && p.Node == h.Node():
		return // its own
	case m != nil && m.node == "" && p.Generation == m.generation && (p.Gone && m.until.IsZero() || !p.Gone && p.Node < h.Node()):
		// Another node has let it leave, though its client was back here, or has taken it over at the same time. It is
		// this node's, which says so.
		m.generation++
		t.shareMeta(m)
		return
	case p.Gone && m != nil:
		t.remove(m)
		return
	case p.Gone || p.Node == h.Node():
		return
	case m == nil:
		m = &presenceMeta{table: t, since: time.UnixMilli(p.Since), heapIndex: -1, id: p.ID, node: p.Node, generation: p.Generation, client: p.Client}
		m.assignedRef = p.Ref
		t.add(m, p.Key, p.Meta)
	default:
		if m.node == "" { // its client has come to another node
			t.ownMetas--
			m.owner = nil
		}
		h.expiry.remove(m)
		m.node, m.generation, m.client, m.until = p.Node, p.Generation, p.Client, time.Time{}
		if m.ref != p.Ref {
			m.assignedRef = p.Ref
			t.replace(m, p.Meta)
		}
	}
	if p.Until > 0 {
		t.leaveAt(m, time.UnixMilli(p.Until))
	}
}
