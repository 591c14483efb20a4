package hub

import (
	"sync/atomic"

	"golang.org/x/sync/singleflight"
)

// Cluster is one node's part of a cluster: the stores that the nodes share, and the calls that they make to each other.
// The methods of a nil Cluster may be called: a hub that shares nothing has none.
type Cluster struct {
	hub *Hub

	// Static after New. A nil store means that this part is local to the node.
	topics    TopicStore
	streams   SharedStreams
	presences PresenceStore

	// The parts. Each guards its own state with its own lock.
	calls         calls
	uploads       uploads
	usage         usage
	presenceSaver presenceSaver
	fetches       singleflight.Group // reads of other nodes' streams from the store

	lapses      atomic.Uint64 // how often the store may have given this node's streams to others, or lost them
	stopServing func()        // stops answering other nodes; set by join
}

// newCluster returns the node's Cluster, or nil if the options share nothing among nodes.
func newCluster(h *Hub, o *Options) *Cluster {
	shared, _ := o.Streams.(SharedStreams)
	if shared == nil && o.Topics == nil {
		return nil
	}
	c := &Cluster{hub: h, topics: o.Topics, streams: shared}
	c.calls.byName = make(map[string]callFunc)
	c.calls.behind = make(map[string]struct{})
	c.uploads.init()
	if shared != nil && o.Presences != nil {
		c.presences = o.Presences
		c.presenceSaver.init()
	}
	return c
}

func (c *Cluster) sharesTopics() bool    { return c != nil && c.topics != nil }
func (c *Cluster) sharesStreams() bool   { return c != nil && c.streams != nil }
func (c *Cluster) sharesPresences() bool { return c != nil && c.presences != nil }

// join starts to answer the other nodes, and starts the goroutines that report to them.
func (c *Cluster) join() {
	if !c.sharesStreams() {
		return
	}
	h := c.hub
	c.answerStreams()
	c.uploads.answerCalls(h)
	h.jobs.answerCalls()
	c.OnCall(callMissed, func([]byte) ([]byte, error) {
		c.handleMissed()
		return nil, nil
	})
	c.OnCall(callReaders, answering(h.topics.answerReaders))
	c.OnCall(callSession, h.sessions.answer)
	c.OnCall(callOverview, answering(func(limit *int) (any, error) { return h.overviewHere(*limit), nil }))
	c.OnCall(callStreams, answering(h.streams.summaries))
	c.startUsage()
	c.stopServing = c.streams.Serve(NodeEvents{
		Answer: c.calls.answer, Died: c.nodeDied, Lost: c.storeLost, Missed: c.handleMissed,
	})
	h.background.Go(c.reportAllWatched)
	if c.sharesPresences() {
		c.presenceSaver.work.Go(c.sharePresences)
	}
}

// leave stops answering the other nodes, which then see that this node has ended. It is called when nothing is left to
// be reported to them.
func (c *Cluster) leave() {
	if c != nil && c.stopServing != nil {
		c.stopServing()
	}
}

// Cluster returns the hub's part of its cluster; nil, which may be used, on a single node.
func (h *Hub) Cluster() *Cluster { return h.cluster }

// Node returns this node's name; "" on a single node.
func (h *Hub) Node() string {
	if !h.cluster.sharesStreams() {
		return ""
	}
	return h.cluster.streams.Node()
}

// nodeDied is called by the store after the death of a node, with the streams that the node owned, until it returns
// true: it reports whether all of the node's state has been cleaned up.
func (c *Cluster) nodeDied(node string, streams []string) bool {
	c.handleMissed() // the node may have died before it notified this one of what it notified others of
	c.removeDeadPresences(node)
	done := true
	for _, id := range streams {
		if err := c.takeOverByID(node, id); err != nil {
			c.hub.logger.Warn("a dead node's stream is not taken over yet", "stream", id, "node", node, "error", err)
			done = false
		}
	}
	return done
}

// storeLost is called by the store when it has lost its data: this node stores again all that it owns.
func (c *Cluster) storeLost() {
	c.lapses.Add(1)
	for _, s := range c.hub.streams.all() {
		if !s.isRemote() {
			c.hub.recorder.markChanged(s, false)
		}
	}
	c.shareAllPresences()
}
