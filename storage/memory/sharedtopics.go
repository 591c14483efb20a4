package memory

import (
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// topicTTL is how long is known of an unused topic how far its offsets got. Afterwards it has a new epoch.
const topicTTL = 24 * time.Hour

func topicKey(topic string) string { return "topic " + topic }

// topicOf returns a topic, in an epoch of the data's life. It is cloned before it is changed.
func (c *Cluster) topicOf(k *keyspace, name string) topicLog {
	t, known := load[topicLog](k, topicKey(name))
	switch {
	case !known:
		t = newTopicLog(c.newEpoch(), k.life)
	case t.life != k.life:
		t.begin(c.newEpoch(), k.life)
	default:
		return t
	}
	k.set(topicKey(name), t, topicTTL)
	return t
}

// AppendEvents implements hub.TopicStore.
func (n *Node) AppendEvents(topic string, events []hub.SharedEvent, room hub.TopicLimits) (places []log.Position, err error) {
	err = n.do("append events", func(k *keyspace) {
		t := n.cluster.topicOf(k, topic).clone()
		var batch hub.EventBatch
		places, batch = t.append(events, room)
		k.set(topicKey(topic), t, topicTTL)
		if len(batch.Events) > 0 {
			n.cluster.publish(topicKey(topic), batch, false)
		}
	})
	return places, err
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
