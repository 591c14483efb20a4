package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// presenceTTL is how long the metas of a topic are kept after their last change.
const presenceTTL = 7 * 24 * time.Hour

// leftTTL is how long the generation of a meta that has left is kept, so that a late save does not bring it back.
const leftTTL = 10 * time.Minute

func presenceKey(topic string) string { return "presences " + topic }

func leftKey(topic, id string) string { return "left presence " + id + " of " + topic }

// SavePresences implements hub.PresenceStore.
func (n *Node) SavePresences(topic string, metas []hub.SharedPresence) error {
	return n.do("save presences", func(k *keyspace) {
		all, _ := load[map[string]hub.SharedPresence](k, presenceKey(topic))
		if all = maps.Clone(all); all == nil {
			all = make(map[string]hub.SharedPresence)
		}
		var applied []hub.SharedPresence
		for _, m := range metas {
			had, ok := all[m.ID]
			if left, _ := load[int](k, leftKey(topic, m.ID)); ok && had.Generation > m.Generation || left > m.Generation {
				continue
			}
			if all[m.ID] = m; m.Gone {
				delete(all, m.ID)
				if m.Generation > 0 {
					k.set(leftKey(topic, m.ID), m.Generation, leftTTL)
				}
			}
			applied = append(applied, m)
		}
		k.set(presenceKey(topic), all, presenceTTL)
		if len(applied) > 0 {
			n.cluster.publish(presenceKey(topic), applied, false)
		}
	})
}

// Presences implements hub.PresenceStore.
func (n *Node) Presences(topic string) (metas []hub.SharedPresence, err error) {
	err = n.do("presences", func(k *keyspace) {
		all, _ := load[map[string]hub.SharedPresence](k, presenceKey(topic))
		for _, id := range slices.Sorted(maps.Keys(all)) {
			metas = append(metas, all[id])
		}
	})
	return metas, err
}

// FollowPresences implements hub.PresenceStore.
func (n *Node) FollowPresences(topic string, heard func([]hub.SharedPresence), gap func()) (stop func()) {
	return n.follow(presenceKey(topic), &follower{gap: gap, heard: func(message any) {
		heard(slices.Clone(message.([]hub.SharedPresence)))
	}})
}
