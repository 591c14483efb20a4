package memory

import (
	"sync"
	"time"
)

// Node gives one node access to a Cluster. It is a hub.SharedStreams, hub.TopicStore, hub.PresenceStore,
// hub.QueueFollower, conversation.Store and rights.RevocationStore. Close it after its hub. Safe for concurrent use.
type Node struct {
	cluster *Cluster
	name    string
	nodes   nodes
	work    sync.WaitGroup
	closed  chan struct{}

	// Guarded by cluster.mu.
	own        map[string]bool // the streams that are in the store's set of this node's streams
	epoch      string          // of queues, as of the last command
	cut        bool            // neither commands nor messages pass
	deaf       bool            // no messages pass
	paused     chan struct{}   // closed by Resume; nil: the node is not paused
	closing    bool            // Close has begun
	connection int             // number of the connection for messages; those sent on an earlier one are lost
	connected  bool            // the connection for messages is open
	followers  map[string][]*follower
	deliveries map[string]*deliveryQueue
}

// Node adds a node. No two nodes may have the same name at the same time; a node that has died may be added again.
func (c *Cluster) Node(name string) *Node {
	n := &Node{
		cluster: c, name: name, closed: make(chan struct{}), own: make(map[string]bool),
		followers: make(map[string][]*follower), deliveries: make(map[string]*deliveryQueue),
	}
	n.nodes = nodes{node: n, waiting: make(map[string]chan []byte), watched: make(map[string]bool)}
	c.mu.Lock()
	c.nodes[n] = struct{}{}
	n.epoch = c.queueEpoch()
	n.connect()
	c.mu.Unlock()
	return n
}

// Close ends the node's access, and returns when no follower is called any more.
func (n *Node) Close() {
	n.locked(func() {
		if !n.closing {
			close(n.closed)
		}
		n.closing = true
		n.disconnect()
		delete(n.cluster.nodes, n)
	})
	n.work.Wait()
}

// Cut disconnects this node from the store. Other nodes cannot tell it from one that has died: to let a node die, Cut
// it and then Close it.
func (n *Node) Cut() { n.locked(func() { n.cut = true; n.disconnect() }) }

// Deafen closes the connection for messages to this node. Its commands still succeed.
func (n *Node) Deafen() { n.locked(func() { n.deaf = true; n.disconnect() }) }

// Mend undoes Cut and Deafen.
func (n *Node) Mend() { n.locked(func() { n.cut, n.deaf = false, false; n.connect() }) }

// Pause makes commands and messages wait until Resume, as in a suspended process. The node's own timers still run.
func (n *Node) Pause() {
	n.locked(func() {
		if n.paused == nil {
			n.paused = make(chan struct{})
		}
	})
}

// Resume ends Pause.
func (n *Node) Resume() {
	n.locked(func() {
		if n.paused != nil {
			close(n.paused)
			n.paused = nil
		}
	})
}

func (n *Node) locked(f func()) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	f()
}

// do runs a command atomically. Errors match errs.ErrUnavailable; the command may have run all the same.
func (n *Node) do(command string, f func(k *keyspace)) error {
	var fate Fate
	if ask := n.cluster.o.Command; ask != nil {
		fate = ask(n.name, command)
	}
	if !n.sleep(fate.Before) || !n.awaitResumed(!fate.Hasty) {
		return unavailable("the node ends, or stands still")
	}
	if fate.Refused {
		return unavailable("the command is refused")
	}
	connection, ok := n.run(f)
	if !ok {
		return unavailable("it is away")
	}
	n.sleep(fate.After)
	if fate.Lost || fate.After > 0 && n.disconnectedSince(connection) {
		return unavailable("the answer is lost")
	}
	return nil
}

// run runs a command if the node can reach the store.
func (n *Node) run(f func(k *keyspace)) (connection int, ok bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if n.closing || n.cut || n.cluster.stopped {
		return 0, false
	}
	f(n.cluster.data)
	return n.connection, true
}

func (n *Node) disconnectedSince(connection int) bool {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.connection != connection
}

// sleep waits for d. It returns false if the node closes meanwhile.
func (n *Node) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.closed:
		return false
	}
}

// awaitResumed waits until the node is not paused. It returns false if the node closes meanwhile or, without wait, if
// it is paused.
func (n *Node) awaitResumed(wait bool) bool {
	for {
		var paused chan struct{}
		n.locked(func() { paused = n.paused })
		if paused == nil {
			return true
		}
		if !wait {
			return false
		}
		select {
		case <-paused:
		case <-n.closed:
			return false
		}
	}
}
