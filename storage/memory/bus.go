package memory

import (
	"slices"
	"time"
)

// follower is one subscription to a channel.
type follower struct {
	heard func(message any) // called with each message, one at a time, in the order of publishing
	gap   func()            // called when the subscription is confirmed, and when messages may have been lost
}

// deliveryQueue has the messages that are in transit to a node on one connection. They are delivered in order.
type deliveryQueue struct {
	pending []delivery
	running bool // a goroutine delivers
}

// delivery is a message, or the notice of a gap, in transit.
type delivery struct {
	due        time.Time
	connection int // Node.connection when it was sent
	deliver    func()
}

// follow subscribes f to a channel until stop is called. f.gap is called when the subscription is confirmed, and again
// whenever messages may have been lost.
func (n *Node) follow(channel string, f *follower) (stop func()) {
	confirmed := false
	n.locked(func() {
		n.followers[channel] = append(n.followers[channel], f)
		switch {
		case !n.connected: // connect confirms it
		case len(n.followers[channel]) > 1:
			confirmed = true
		default:
			n.send(channel, 0, func() { n.deliverGap(channel) })
		}
	})
	if confirmed {
		f.gap()
	}
	return func() {
		n.locked(func() {
			left := slices.Clone(n.followers[channel])
			left = slices.DeleteFunc(left, func(g *follower) bool { return g == f })
			if n.followers[channel] = left; len(left) == 0 {
				delete(n.followers, channel)
			}
		})
	}
}

// publish sends a message to all nodes that follow a channel, and returns how many there are. The caller holds c.mu.
func (c *Cluster) publish(channel string, message any, once bool) (receivers int) {
	for n := range c.nodes {
		if !n.connected || n.followers[channel] == nil {
			continue
		}
		receivers++
		var d Delivery
		if c.o.Message != nil {
			d = c.o.Message(n.name, channel)
		}
		deliver := func() { n.deliverMessage(channel, message) }
		n.send(channel, d.After, deliver)
		if d.Twice && !once {
			n.send(channel, d.After, deliver)
		}
	}
	return receivers
}

// connect opens the connection for messages, unless a fault or Close prevents it. The caller holds cluster.mu.
func (n *Node) connect() {
	if n.connected || n.cut || n.deaf || n.closing || n.cluster.stopped {
		return
	}
	n.connected = true
	for channel := range n.followers {
		n.send(channel, 0, func() { n.deliverGap(channel) })
	}
}

// disconnect closes the connection for messages; those in transit are lost. The caller holds cluster.mu.
func (n *Node) disconnect() {
	n.connected = false
	n.connection++
}

// send queues a delivery to the node. The caller holds cluster.mu.
func (n *Node) send(channel string, after time.Duration, deliver func()) {
	name := ""
	if n.cluster.o.Spread {
		name = channel
	}
	q := n.deliveries[name]
	if q == nil {
		q = &deliveryQueue{}
		n.deliveries[name] = q
	}
	q.pending = append(q.pending, delivery{time.Now().Add(after), n.connection, deliver})
	if !q.running {
		q.running = true
		n.work.Go(func() { n.deliver(name, q) })
	}
}

// deliver makes the deliveries of a queue until it is empty.
func (n *Node) deliver(name string, q *deliveryQueue) {
	for {
		var next delivery
		var more, lost bool
		n.locked(func() {
			if more = len(q.pending) > 0; more {
				next, q.pending = q.pending[0], q.pending[1:]
				return
			}
			q.running = false
			delete(n.deliveries, name)
		})
		if !more {
			return
		}
		if !n.sleep(time.Until(next.due)) || !n.awaitResumed(true) {
			continue // the node closes: the rest is dropped as well
		}
		n.locked(func() { lost = n.connection != next.connection })
		if !lost {
			next.deliver()
		}
	}
}

func (n *Node) followersOf(channel string) (list []*follower) {
	n.locked(func() { list = n.followers[channel] })
	return list
}

func (n *Node) deliverMessage(channel string, message any) {
	for _, f := range n.followersOf(channel) {
		f.heard(message)
	}
}

func (n *Node) deliverGap(channel string) {
	for _, f := range n.followersOf(channel) {
		f.gap()
	}
}
