package memory

import (
	"slices"
	"time"
)

// follower hears one channel.
type follower struct {
	heard func(message any) // one after the other, in the order in which they were published
	gap   func()            // messages may be missing, or the following has begun
}

// lane is a connection on which messages come in order.
type lane struct {
	under   []parcel
	running bool // a goroutine delivers
}

// parcel is a message, or a gap, on its way.
type parcel struct {
	due     time.Time
	line    int
	deliver func()
}

// follow has f hear a channel until stop is called. f.gap is called once it does, and again whenever messages may have
// been lost.
func (n *Node) follow(channel string, f *follower) (stop func()) {
	standing := false
	n.locked(func() {
		n.wanted[channel] = append(n.wanted[channel], f)
		switch {
		case !n.standing: // told when it stands
		case len(n.wanted[channel]) > 1:
			standing = true
		default:
			n.post(channel, 0, func() { n.tellGap(channel) })
		}
	})
	if standing {
		f.gap()
	}
	return func() {
		n.locked(func() {
			n.wanted[channel] = slices.DeleteFunc(slices.Clone(n.wanted[channel]), func(g *follower) bool { return g == f })
			if len(n.wanted[channel]) == 0 {
				delete(n.wanted, channel)
			}
		})
	}
}

// publish sends a message to all nodes that follow a channel, and returns how many they are. cluster.mu is held.
func (c *Cluster) publish(channel string, message any, once bool) (heard int) {
	for n := range c.nodes {
		if !n.standing || n.wanted[channel] == nil {
			continue
		}
		heard++
		var d Delivery
		if c.o.Message != nil {
			d = c.o.Message(n.name, channel)
		}
		deliver := func() { n.tell(channel, message) }
		n.post(channel, d.After, deliver)
		if d.Twice && !once {
			n.post(channel, d.After, deliver)
		}
	}
	return heard
}

// connect has the node hear again, if nothing is in the way. cluster.mu is held.
func (n *Node) connect() {
	if n.standing || n.cut || n.deaf || n.over || n.cluster.stopped {
		return
	}
	n.standing = true
	for channel := range n.wanted {
		n.post(channel, 0, func() { n.tellGap(channel) })
	}
}

// disconnect loses what is under way. cluster.mu is held.
func (n *Node) disconnect() {
	n.standing = false
	n.line++
}

// post puts something on its way to the node. cluster.mu is held.
func (n *Node) post(channel string, after time.Duration, deliver func()) {
	name := ""
	if n.cluster.o.Spread {
		name = channel
	}
	l := n.lanes[name]
	if l == nil {
		l = &lane{}
		n.lanes[name] = l
	}
	l.under = append(l.under, parcel{time.Now().Add(after), n.line, deliver})
	if !l.running {
		l.running = true
		n.work.Go(func() { n.deliver(name, l) })
	}
}

// deliver delivers what is under way on a lane until there is nothing.
func (n *Node) deliver(name string, l *lane) {
	for {
		var next parcel
		var more, lost bool
		n.locked(func() {
			if more = len(l.under) > 0; more {
				next, l.under = l.under[0], l.under[1:]
				return
			}
			l.running = false
			delete(n.lanes, name)
		})
		if !more {
			return
		}
		if !n.sleep(time.Until(next.due)) || !n.going(true) {
			continue // the node ends: the rest is dropped, too
		}
		n.locked(func() { lost = n.line != next.line })
		if !lost {
			next.deliver()
		}
	}
}

func (n *Node) followers(channel string) (list []*follower) {
	n.locked(func() { list = n.wanted[channel] })
	return list
}

func (n *Node) tell(channel string, message any) {
	for _, f := range n.followers(channel) {
		f.heard(message)
	}
}

func (n *Node) tellGap(channel string) {
	for _, f := range n.followers(channel) {
		f.gap()
	}
}
