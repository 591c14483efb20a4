package hub

import (
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// shareMeta has the other nodes told of a meta of this node's. t.mu is held.
func (t *presenceTable) shareMeta(m *presenceMeta) {
	if t.share == nil || m.key == nil {
		return
	}
	p := SharedPresence{
		ID: m.id, Generation: m.generation, Node: t.topic.hub.Node(), Key: m.key.name, Client: m.client, Meta: m.meta, Ref: m.ref, Since: m.since.UnixMilli(),
	}
	if !m.until.IsZero() {
		p.Until = m.until.UnixMilli()
	}
	t.markUnsaved(p)
}

// shareGone has the other nodes told that a meta has left. t.mu is held.
func (t *presenceTable) shareGone(m *presenceMeta) {
	if t.share != nil {
		t.markUnsaved(SharedPresence{ID: m.id, Generation: m.generation, Node: t.topic.hub.Node(), Gone: true})
	}
}

func (t *presenceTable) markUnsaved(p SharedPresence) {
	t.share.unsaved[p.ID] = p
	t.topic.hub.cluster.presenceSaver.add(t)
}

// presenceBatchDelay is for how long changes of presences are gathered before the other nodes are told.
const presenceBatchDelay = 10 * time.Millisecond

// presenceSaver are the tables with changes that the other nodes have not been told.
type presenceSaver struct {
	stop    chan struct{} // closed when the others are to be told for the last time
	stopped sync.Once
	work    sync.WaitGroup
	wake    *log.Wake

	mu     lock.Mutex
	tables map[*presenceTable]struct{}
}

func (o *presenceSaver) init() {
	o.stop, o.wake, o.tables = make(chan struct{}), log.NewWake(), make(map[*presenceTable]struct{})
}

// add notes that a table has changes. It may be locked.
func (o *presenceSaver) add(t *presenceTable) {
	o.mu.Lock()
	o.tables[t] = struct{}{}
	o.mu.Unlock()
	o.wake.Signal()
}

// sharePresences tells the other nodes of changes until that is stopped, and once more then.
func (c *Cluster) sharePresences() {
	out := &c.presenceSaver
	for {
		select {
		case <-out.stop:
			out.save()
			return
		case <-out.wake.C:
		}
		if !out.save() {
			out.wake.Signal()
			c.hub.background.Pause(time.Second)
		}
		c.hub.background.Pause(presenceBatchDelay)
	}
}

// save reports whether all was saved.
func (o *presenceSaver) save() bool {
	o.mu.Lock()
	tables := o.tables
	o.tables = make(map[*presenceTable]struct{})
	o.mu.Unlock()
	ok := true
	for t := range tables {
		ok = t.saveUnsaved() && ok
	}
	return ok
}

// endPresences tells the other nodes that this one ends: its sessions may come back to another. It returns when that is
// said.
func (c *Cluster) endPresences() {
	if !c.sharesPresences() {
		return
	}
	c.expireAll(nodeGrace)
	out := &c.presenceSaver
	out.stopped.Do(func() { close(out.stop) })
	out.work.Wait()
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
	if len(metas) == 0 || t.topic.hub.cluster.presences.SavePresences(t.topic.name, metas) == nil {
		return true
	}
	t.Lock()
	defer t.Unlock()
	for _, p := range metas {
		if _, newer := t.share.unsaved[p.ID]; !newer {
			t.markUnsaved(p)
		}
	}
	return false
}

// eachPresences calls f with each table, locked.
func (c *Cluster) eachPresences(f func(t *presenceTable)) {
	if !c.sharesPresences() {
		return
	}
	for _, topic := range c.hub.topics.all() {
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

// removeDeadPresences ends the metas of a node that has died, but for those that leave by themselves.
func (c *Cluster) removeDeadPresences(node string) {
	c.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == node && m.until.IsZero() {
				t.remove(m)
				t.shareGone(m)
			}
		}
	})
}

// shareAllPresences tells the other nodes of all metas of this node's again.
func (c *Cluster) shareAllPresences() {
	c.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == "" {
				t.shareMeta(m)
			}
		}
	})
}

// nodeGrace is for how long the sessions of a node that ends may come back to another, where nobody has said how long
// yet.
const nodeGrace = 15 * time.Second

// expireAll lets all metas of this node's that are live leave after a time: the node ends, and its sessions may come
// back to another.
func (c *Cluster) expireAll(grace time.Duration) {
	until := time.Now().Add(grace)
	c.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == "" && m.until.IsZero() {
				t.leaveAt(m, until)
				t.shareMeta(m)
			}
		}
	})
}
