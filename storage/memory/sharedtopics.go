package memory

import (
	"cmp"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// topicTTL is how long an unused topic is kept. After that it begins a new epoch, since its offsets are lost.
const topicTTL = 24 * time.Hour

func topicKey(topic string) string { return "topic " + topic }

// topicOf returns a topic. It begins a new epoch if the topic is new, or after a restart of the store. The caller must
// clone the topic before changing it.
func (c *Cluster) topicOf(k *keyspace, name string) topicLog {
	t, ok := load[topicLog](k, topicKey(name))
	switch {
	case !ok:
		t = newTopicLog(c.newEpoch(), k.incarnation)
	case t.incarnation != k.incarnation:
		t.beginEpoch(c.newEpoch(), k.incarnation)
	default:
		return t
	}
	k.set(topicKey(name), t, topicTTL)
	return t
}

// AppendEvents implements hub.TopicStore.
func (n *Node) AppendEvents(
	topic string, events []hub.SharedEvent, limits hub.TopicLimits,
) (positions []log.Position, err error) {
	var conflict error
	err = n.do("append events", func(k *keyspace) {
		t := n.cluster.topicOf(k, topic).clone()
		if conflict = t.checkIDs(events); conflict != nil {
			return
		}
		var batch hub.EventBatch
		positions, batch = t.append(events, limits)
		k.set(topicKey(topic), t, topicTTL)
		if len(batch.Events) > 0 {
			n.cluster.publish(topicKey(topic), batch, false)
		}
	})
	return positions, cmp.Or(err, conflict)
}

// CheckIDs implements hub.TopicStore.
func (n *Node) CheckIDs(topic string, events []hub.SharedEvent) error {
	var conflict error
	err := n.do("check ids", func(k *keyspace) {
		t := n.cluster.topicOf(k, topic)
		conflict = t.checkIDs(events)
	})
	return cmp.Or(err, conflict)
}

// Events implements hub.TopicStore.
func (n *Node) Events(topic, epoch string, after uint64) (page hub.TopicPage, err error) {
	err = n.do("events", func(k *keyspace) {
		t := n.cluster.topicOf(k, topic)
		page = t.page(epoch, after)
	})
	return page, err
}

// FollowTopic implements hub.TopicStore.
func (n *Node) FollowTopic(topic string, heard func(hub.EventBatch), gap func()) (stop func()) {
	return n.follow(topicKey(topic), &follower{gap: gap, heard: func(message any) { heard(message.(hub.EventBatch)) }})
}
