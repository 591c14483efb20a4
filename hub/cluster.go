package hub

import (
	"sync/atomic"

	"golang.org/x/sync/singleflight"
)

// cluster is everything of several nodes: what they share, and how they ask each other. A hub of one node has none:
// nil, whose methods may be called. A part without a store is this node's alone.
type Cluster struct {
	topics    TopicStore
	streams   SharedStreams
	presences PresenceStore

	calls   calls
	uploads uploads
	usage   usage
	fetches singleflight.Group // of other nodes' streams
	lapses  atomic.Uint64      // how often the store may have given this node's streams to others, or lost them

	presenceSaver presenceSaver
	stopServing   func() // ends the answering of other nodes
}

// newCluster returns what the options share, or nil.
func newCluster(o *Options) *Cluster {
	shared, _ := o.Streams.(SharedStreams)
	if shared == nil && o.Topics == nil {
		return nil
	}
	c := &Cluster{topics: o.Topics, streams: shared}
	c.calls.byName = make(map[string]callFunc)
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

// joinCluster begins to answer the other nodes, and to tell them what they need to know.
func (h *Hub) joinCluster() {
	c := h.cluster
	if !c.sharesStreams() {
		return
	}
	h.answerStreams()
	h.answerUploads()
	h.answerJobs()
	h.OnCall(callReaders, answering(h.readersHere))
	h.OnCall(callSession, h.answerSession)
	h.OnCall(callOverview, answering(func(limit *int) (any, error) { return h.overviewHere(*limit), nil }))
	h.OnCall(callStreams, answering(h.streamsHere))
	h.shareUsage()
	c.stopServing = c.streams.Serve(NodeEvents{Answer: c.calls.answer, Died: h.nodeDied, Lost: h.storeLost, Missed: c.calls.runMissed})
	h.background.Go(h.tellAllWatched)
	if c.sharesPresences() {
		c.presenceSaver.work.Go(h.sharePresences)
	}
}

// leave lets the others hear that the node is gone. It comes last: the node must have said everything.
func (c *Cluster) leave() {
	if c != nil && c.stopServing != nil {
		c.stopServing()
	}
}

// Node returns the name of this node among several, or "" where there is one.
func (h *Hub) Node() string {
	if !h.cluster.sharesStreams() {
		return ""
	}
	return h.cluster.streams.Node()
}

// NodeLives reports whether there is another node of that name.
func (h *Hub) NodeLives(node string) bool {
	return h.cluster.sharesStreams() && node != h.Node() && h.cluster.streams.Alive(node)
}

// nodeDied is told by the store of a node that has died with streams of its own. It reports whether all is done that
// its death asks for.
func (h *Hub) nodeDied(node string, streams []string) bool {
	h.removeDeadPresences(node)
	done := true
	for _, id := range streams {
		if err := h.inherit(node, id); err != nil {
			h.logger.Warn("a dead node's stream is not taken over yet", "stream", id, "node", node, "error", err)
			done = false
		}
	}
	return done
}

// storeLost is told by the store when what the nodes share is gone: all that this node has is brought again.
func (h *Hub) storeLost() {
	h.cluster.lapses.Add(1)
	for _, s := range h.streams.all() {
		if !s.isRemote() {
			h.changedStream(s, false)
		}
	}
	h.shareAllPresences()
}
