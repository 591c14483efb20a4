package memory

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// Cluster is a store in memory that several nodes share. It takes the place of Redis in tests, with the same semantics.
// Node gives each node access to it over a simulated network, which works perfectly unless a test says otherwise:
// ClusterOptions decide about single commands and messages; the methods of Node and Cluster cause faults of a whole
// node, or of the store.
//
// A Cluster only waits for time and channels, so it works in a synctest bubble, where an hour takes no time. There, a
// command that takes time must not be called with a mutex that other goroutines wait for, because the bubble's clock
// does not advance while a goroutine waits for a mutex. A Cluster is safe for concurrent use.
type Cluster struct {
	o ClusterOptions

	mu      sync.Mutex // guards everything, also of the nodes; not held during callbacks or while waiting
	data    *keyspace
	nodes   map[*Node]struct{}
	epochs  int // number of epochs so far; it is not part of data, so that an epoch is never used twice
	stopped bool
}

// ClusterOptions configures a Cluster. The zero value is a perfect network.
type ClusterOptions struct {
	Lease     time.Duration // how long a node lives without a heartbeat; 0: 10 s
	StreamTTL time.Duration // how long an ended stream is kept if its node dies before it deletes it; 0: 1 h

	// Command decides what happens to a command of a node; nil: it succeeds at once. It is called in the goroutine of
	// the command's caller.
	Command func(node, command string) Fate
	// Message decides what happens to a message to a node; nil: it is delivered once, without delay. It must not call
	// the cluster.
	Message func(node, channel string) Delivery
	// Spread gives each channel a connection of its own, as a Redis Cluster has one for each of its servers. Then only
	// the messages of one channel arrive in order.
	Spread bool
}

// Fate is what happens to a command.
type Fate struct {
	Before  time.Duration // until it arrives at the store
	Refused bool          // it does not run, and returns ErrUnavailable
	Lost    bool          // it runs, and returns ErrUnavailable
	After   time.Duration // until the answer arrives
	Hasty   bool          // it is refused if its node is paused, instead of waiting
}

// Delivery is what happens to a message. Messages are lost only when their connection is closed (Node.Cut, Node.Deafen,
// Cluster.Stop). When it is open again, followers are notified of a gap.
type Delivery struct {
	After time.Duration // the delay; later messages on the same connection wait as well
	Twice bool          // it is delivered twice; never done to calls between nodes
}

// NewCluster returns a Cluster without data or nodes.
func NewCluster(o ClusterOptions) *Cluster {
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.StreamTTL == 0 {
		o.StreamTTL = time.Hour
	}
	return &Cluster{o: o, data: newKeyspace(), nodes: make(map[*Node]struct{})}
}

// Stop makes the store unreachable for all nodes.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for n := range c.nodes {
		n.disconnect()
	}
}

// Start restarts the store with all its data. As after every restart, logs begin new epochs, since a real store may
// have lost its latest writes.
func (c *Cluster) Start() { c.start(func() {}) }

// StartWithout restarts the store without the writes of the last d (at most 5 s), as if they had not reached the disk,
// or the replica that is now the master.
func (c *Cluster) StartWithout(d time.Duration) { c.start(func() { c.data.rollBack(d) }) }

// StartEmpty restarts the store without any data.
func (c *Cluster) StartEmpty() { c.start(c.data.reset) }

// Failover makes another server the master at once, which lacks the writes of the last d (at most 5 s). The connections
// for messages stay open, and messages in transit arrive after the new master's first answers.
func (c *Cluster) Failover(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data.rollBack(d)
	c.data.incarnation++
}

func (c *Cluster) start(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.data.incarnation++
	c.stopped = false
	for n := range c.nodes {
		n.disconnect() // also if Stop was not called
		n.connect()
	}
}

// newEpoch returns an epoch that was never used: BOOT-N, as log.Vector needs it. The caller holds c.mu.
func (c *Cluster) newEpoch() string {
	c.epochs++
	return "c" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(c.epochs)
}

// unavailable returns the error of a command that failed, as far as the node can tell.
func unavailable(why string) error {
	return fmt.Errorf("what the nodes share cannot be reached: %s: %w", why, errs.ErrUnavailable)
}
