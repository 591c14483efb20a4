package hub

import (
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// shareMeta marks a meta that this node owns to be saved for the other nodes. t is locked.
func (t *presenceTable) shareMeta(m *presenceMeta) {
	if t.share == nil || m.key == nil {
		return
	}
	p := SharedPresence{
		ID: m.id, Generation: m.generation, Node: t.topic.hub.Node(), Key: m.key.name, Client: m.client, Meta: m.meta,
		Ref: m.ref, Since: m.since.UnixMilli(),
	}
	if !m.until.IsZero() {
		p.Until = m.until.UnixMilli()
	}
	t.markUnsaved(p)
}

// shareGone marks the end of a meta to be saved for the other nodes. t is locked.
func (t *presenceTable) shareGone(m *presenceMeta) {
	if t.share != nil {
		t.markUnsaved(SharedPresence{ID: m.id, Generation: m.generation, Node: t.topic.hub.Node(), Gone: true})
	}
}

func (t *presenceTable) markUnsaved(p SharedPresence) {
	t.share.unsaved[p.ID] = p
	t.topic.hub.cluster.presenceSaver.add(t)
}

// presenceBatchDelay is how long changes of presences are gathered before they are saved together.
const presenceBatchDelay = 10 * time.Millisecond

// presenceSaver saves changes of presences for the other nodes, in batches (Cluster.sharePresences).
type presenceSaver struct {
	stop    chan struct{} // closed for the last save, when the hub closes
	stopped sync.Once
	work    sync.WaitGroup
	wake    *log.Wake

	mu     lock.Mutex
	tables map[*presenceTable]struct{} // those with unsaved changes
}

func (o *presenceSaver) init() {
	o.stop, o.wake, o.tables = make(chan struct{}), log.NewWake(), make(map[*presenceTable]struct{})
}

// add registers a table with unsaved changes. The table may be locked.
func (o *presenceSaver) add(t *presenceTable) {
	o.mu.Lock()
	o.tables[t] = struct{}{}
	o.mu.Unlock()
	o.wake.Signal()
}

// sharePresences saves changes of presences until the saver is stopped, and then once more.
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

// save saves the changes of all registered tables. It reports whether it saved them all; those that it did not are
// registered again.
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

// endPresences starts the grace period of this node's presences, because the node ends and its clients will connect to
// other nodes. It returns when that was saved, or has failed.
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
		_, newer := t.share.unsaved[p.ID]
		m := t.share.byID[p.ID]
		outdated := !p.Gone && (m == nil || m.node != "" || m.generation != p.Generation)
		if !newer && !outdated {
			t.markUnsaved(p)
		}
	}
	return false
}

// eachPresences calls f with each shared table, which is locked.
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

// removeDeadPresences ends the metas of a node that has died, except for those in their grace period.
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

// shareAllPresences saves all metas that this node owns again.
func (c *Cluster) shareAllPresences() {
	c.eachPresences(func(t *presenceTable) {
		for _, m := range t.share.byID {
			if m.node == "" {
				t.shareMeta(m)
			}
		}
	})
}

// nodeGrace is the grace period of presences whose node ends, for metas that are not in a grace period already.
const nodeGrace = 15 * time.Second

// expireAll starts the grace period of all live metas that this node owns.
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
