package memory

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// Cluster is what several nodes share, in memory: what Redis is in production, with the same semantics. Node gives each
// node its view of it. Between the two is a network, which is perfect unless the test says otherwise: what happens to
// single commands and messages is for ClusterOptions to say, and what happens to a node as a whole, or to the store,
// for the methods of Node and Cluster.
//
// Nothing but time and channels is waited for, so it works in a bubble of testing/synctest, where an hour takes no
// time. There a command must not take time whose caller has a mutex that others wait for: a bubble's clock stands still
// while somebody waits for a mutex. Safe for concurrent use.
type Cluster struct {
	o ClusterOptions

	mu      sync.Mutex // guards everything, also of the nodes; never locked while anybody is called or waited for
	data    *keyspace
	nodes   map[*Node]struct{}
	made    int // epochs; they are never given twice, whatever the store forgets
	stopped bool
}

// ClusterOptions configures a Cluster. The zero value is a perfect network.
type ClusterOptions struct {
	Lease     time.Duration // after how long of silence a node is dead (10 s)
	StreamTTL time.Duration // how long a stream is kept after its end, should its node not live to delete it (1 h)

	// Command is asked what happens to a command of a node; nil: it is done at once. It is called in the caller's
	// goroutine.
	Command func(node, command string) Fate
	// Message is asked what happens to a message on its way to a node; nil: it comes at once. It must not call the
	// cluster.
	Message func(node, channel string) Delivery
	// Spread has the messages of several channels not wait for each other, as in a Redis Cluster, whose servers each
	// have a connection of their own: then only the messages of one channel come in order.
	Spread bool
}

// Fate is what happens to a command.
type Fate struct {
	Before  time.Duration // how long it takes to arrive
	Refused bool          // it is not done, and its caller is told ErrUnavailable
	Lost    bool          // it is done, and its caller is told ErrUnavailable
	After   time.Duration // how long the answer takes
	Hasty   bool          // it is refused where it would have to wait for a node that is paused
}

// Delivery is what happens to a message. Messages are lost only with the connection they come on (Node.Cut,
// Node.Deafen, Cluster.Stop): those who follow are told of a gap when it is back.
type Delivery struct {
	After time.Duration // how long it takes; what comes behind it on the same connection waits
	Twice bool          // it comes twice; what nodes ask each other never does
}

// NewCluster returns one without data or nodes.
func NewCluster(o ClusterOptions) *Cluster {
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.StreamTTL == 0 {
		o.StreamTTL = time.Hour
	}
	return &Cluster{o: o, data: newKeyspace(), nodes: make(map[*Node]struct{})}
}

// Stop takes the store away from all nodes.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for n := range c.nodes {
		n.disconnect()
	}
}

// Start brings the store back, with everything that it had. As after every restart, offsets begin new epochs, for it
// may have gone back.
func (c *Cluster) Start() { c.begin(func() {}) }

// StartWithout brings the store back without what was written within the last d (at most 5 s): it had not reached the
// disk, or not the replica that is the master now.
func (c *Cluster) StartWithout(d time.Duration) { c.begin(func() { c.data.goBack(d) }) }

// StartEmpty brings back a store that has forgotten everything.
func (c *Cluster) StartEmpty() { c.begin(c.data.forget) }

// Failover has another server take over at once, which lacks what was written within the last d (at most 5 s). The
// connections for messages stand, and what is on its way on them comes after the new server's first answers.
func (c *Cluster) Failover(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data.goBack(d)
	c.data.life++
}

func (c *Cluster) begin(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.data.life++
	c.stopped = false
	for n := range c.nodes {
		n.disconnect() // also where the store was never seen to be away
		n.connect()
	}
}

// newEpoch returns an epoch that was never given: BOOT-N, as log.Vector needs it. c.mu is held.
func (c *Cluster) newEpoch() string {
	c.made++
	return "c" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(c.made)
}

// unavailable says that the store did not do what was asked, as far as is known.
func unavailable(why string) error {
	return fmt.Errorf("what the nodes share cannot be reached: %s: %w", why, errs.ErrUnavailable)
}
