package memory

import (
	"sync"
	"time"
)

// Node is one node's view of a Cluster: a hub.SharedStreams, hub.TopicStore, hub.PresenceStore, hub.QueueFollower,
// conversation.Store and rights.RevocationStore. Close it after its hub. Safe for concurrent use.
type Node struct {
	cluster *Cluster
	name    string
	nodes   nodes
	work    sync.WaitGroup
	closed  chan struct{}

	// Guarded by cluster.mu.
	own      map[string]bool // this node's streams that are in its set
	epoch    string          // of queues, as the store last said
	cut      bool            // no commands and no messages
	deaf     bool            // no messages
	paused   chan struct{}   // closed when the node goes on; nil: it goes
	over     bool            // Close has begun
	line     int             // counts the connections: what is under way on an earlier one is lost
	standing bool            // the connection for messages stands
	wanted   map[string][]*follower
	lanes    map[string]*lane
}

// Node returns the view of a node that has just begun. Names are those of living nodes once only; one that has died may
// come back under its name.
func (c *Cluster) Node(name string) *Node {
	n := &Node{
		cluster: c, name: name, closed: make(chan struct{}), own: make(map[string]bool),
		wanted: make(map[string][]*follower), lanes: make(map[string]*lane),
	}
	n.nodes = nodes{node: n, waiting: make(map[string]chan []byte), seen: make(map[string]bool)}
	c.mu.Lock()
	c.nodes[n] = struct{}{}
	n.epoch = c.queueEpoch()
	n.connect()
	c.mu.Unlock()
	return n
}

// Close ends the view, and returns when nobody is told anything any more.
func (n *Node) Close() {
	n.locked(func() {
		if !n.over {
			close(n.closed)
		}
		n.over = true
		n.disconnect()
		delete(n.cluster.nodes, n)
	})
	n.work.Wait()
}

// Cut takes the store away from this node: others cannot tell it from one that has died. A node that is to die is cut,
// and then closed.
func (n *Node) Cut() { n.locked(func() { n.cut = true; n.disconnect() }) }

// Deafen ends the connection on which this node hears the others; its commands are done.
func (n *Node) Deafen() { n.locked(func() { n.deaf = true; n.disconnect() }) }

// Mend undoes Cut and Deafen.
func (n *Node) Mend() { n.locked(func() { n.cut, n.deaf = false, false; n.connect() }) }

// Pause has commands and messages wait until Resume, as for a process that stands still. Its own timers go on.
func (n *Node) Pause() {
	n.locked(func() {
		if n.paused == nil {
			n.paused = make(chan struct{})
		}
	})
}

// Resume lets the node go on.
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

// do runs a command: f is done as a whole, or not at all. Errors match errs.ErrUnavailable; then it may have been done
// all the same.
func (n *Node) do(command string, f func(k *keyspace)) error {
	var fate Fate
	if ask := n.cluster.o.Command; ask != nil {
		fate = ask(n.name, command)
	}
	if !n.sleep(fate.Before) || !n.going(!fate.Hasty) {
		return unavailable("the node ends, or stands still")
	}
	if fate.Refused {
		return unavailable("the command is refused")
	}
	line, ok := n.run(f)
	if !ok {
		return unavailable("it is away")
	}
	n.sleep(fate.After)
	if fate.Lost || fate.After > 0 && n.lineIsLost(line) {
		return unavailable("the answer is lost")
	}
	return nil
}

// run does a command if the node can reach the store.
func (n *Node) run(f func(k *keyspace)) (line int, ok bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if n.over || n.cut || n.cluster.stopped {
		return 0, false
	}
	f(n.cluster.data)
	return n.line, true
}

func (n *Node) lineIsLost(line int) bool {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.line != line
}

// sleep waits, and reports false where the node ends meanwhile.
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

// going returns when the node is not paused, or false when it ends, or where it is paused and that is not waited for.
func (n *Node) going(wait bool) bool {
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
