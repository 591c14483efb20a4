package hub

import (
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/mirror"
)

// presenceLoadTimeout is how long a caller waits for the presences on other nodes to be loaded.
const presenceLoadTimeout = 3 * time.Second

// presenceShare is the part of a table that is shared with other nodes. The table's lock guards it.
type presenceShare struct {
	mirror  *mirror.Mirror[[]SharedPresence]
	started bool // the mirror was started
	ready   bool // the other nodes' presences were loaded, or the load has timed out: callers do not wait any more
	byID    map[string]*presenceMeta
	unsaved map[string]SharedPresence // changes that are not in the store yet, by id
}

// initShare makes a new table a shared one, if presences are shared. Nothing else may use t yet.
func (t *presenceTable) initShare() {
	h := t.topic.hub
	if !h.cluster.sharesPresences() {
		return
	}
	t.share = &presenceShare{byID: make(map[string]*presenceMeta), unsaved: make(map[string]SharedPresence)}
	t.share.mirror = mirror.New(presenceReplica{t}, &h.background)
}

// attachPresences returns the topic's table as lockPresences does, after the presences on other nodes were loaded. If
// the store cannot be reached, it waits no longer than presenceLoadTimeout, and later callers do not wait.
func (r *topicRegistry) attachPresences(name string) (*presenceTable, error) {
	for {
		t, err := r.lockPresences(name)
		if err != nil || t.share == nil || t.share.ready {
			return t, err
		}
		m, begun := t.share.mirror, t.share.started
		t.share.started = true
		t.waiting++ // so that the table is not dropped meanwhile
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

// closeShare removes the shared metas from the expiry and returns the mirror, which the caller closes when it holds no
// lock any more. t is locked.
func (t *presenceTable) closeShare() *mirror.Mirror[[]SharedPresence] {
	if t.share == nil {
		return nil
	}
	for _, m := range t.share.byID {
		t.topic.hub.expiry.remove(m)
	}
	return t.share.mirror
}

// presenceReplica is the replica of the store's presences on a topic.
type presenceReplica struct{ *presenceTable }

// Follow implements mirror.Replica.
func (r presenceReplica) Follow(onChange func([]SharedPresence), onGap func()) (stop func()) {
	return r.topic.hub.cluster.presences.FollowPresences(r.topic.name, onChange, onGap)
}

// Load implements mirror.Replica.
func (r presenceReplica) Load() error {
	metas, err := r.topic.hub.cluster.presences.Presences(r.topic.name)
	if err == nil {
		r.reconcile(metas)
	}
	return err
}

// Take implements mirror.Replica. Metas are independent of each other, so every change joins. A change that was
// received before the store was read is skipped: one of its metas may have left since, without this node having been
// told. Take is called with the mirror locked, so if the table is empty, a goroutine drops it: that closes the mirror.
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

// reconcile brings the table to what the store has.
func (t *presenceTable) reconcile(metas []SharedPresence) {
	h := t.topic.hub
	alive := make(map[string]bool)
	for i := range metas {
		m := &metas[i]
		if m.Node == h.Node() || m.Until > 0 {
			continue
		}
		lives, known := alive[m.Node]
		if !known {
			lives = h.cluster.streams.Alive(m.Node)
			alive[m.Node] = lives
		}
		m.Gone = m.Gone || !lives // its node died while no other node had this table
	}
	t.Lock()
	defer t.unlock(t.Tail())
	if t.dropped {
		return
	}
	stored := make(map[string]bool, len(metas))
	for i := range metas {
		m := &metas[i]
		stored[m.ID] = true
		if had := t.share.byID[m.ID]; had != nil && had.node != "" && m.Generation < had.generation {
			t.remove(had) // it left, and a delayed save of an earlier owner brought its id back
		}
		own := t.share.byID[m.ID]
		if own != nil && own.node == "" && m.Generation < own.generation {
			t.shareMeta(own) // this node's takeover is not in the store yet; an earlier owner's end must not replace it
			continue
		}
		if m.Gone || own == nil && m.Node == h.Node() {
			m.Gone = true // this node's own, which ended while the store could not be reached
			t.markUnsaved(*m)
		}
		t.applyShared(m)
	}
	for id, m := range t.share.byID {
		switch {
		case stored[id]:
		case m.node == "":
			t.shareMeta(m) // the store has lost it
		default:
			t.remove(m)
		}
	}
}

// applyShared applies one meta from the store. What this node has saved comes back here, too, and changes nothing. t is
// locked.
func (t *presenceTable) applyShared(p *SharedPresence) {
	h := t.topic.hub
	m := t.share.byID[p.ID]
	if own, pending := t.share.unsaved[p.ID]; pending && own.Generation < p.Generation {
		delete(t.share.unsaved, p.ID) // another node owns it, and this node's change is outdated
	}
	switch {
	case m != nil && p.Generation < m.generation:
		return // older than the takeover by this node
	case m != nil && m.node == "" && p.Generation == m.generation && p.Node == h.Node():
		return // this node's own
	case m != nil && m.node == "" && m.until.IsZero() && (p.Gone || p.Until > 0 ||
		p.Generation == m.generation && p.Node < h.Node()):
		// Its client is connected here, and another node has ended it or waits for its client, perhaps after a takeover
		// that this node did not hear of; or both have taken it over at the same time. This node owns it, and saves it
		// again with a higher generation.
		m.generation = p.Generation + 1
		t.shareMeta(m)
		return
	case p.Gone && m != nil:
		t.remove(m)
		return
	case p.Gone || p.Node == h.Node():
		return
	case m == nil:
		m = &presenceMeta{
			table: t, since: time.UnixMilli(p.Since), heapIndex: -1, id: p.ID, node: p.Node, generation: p.Generation,
			client: p.Client,
		}
		m.assignedRef = p.Ref
		t.add(m, p.Key, p.Meta)
	default:
		if m.node == "" { // its client has connected to another node
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
