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

// SavePresences implements hub.PresenceStore. A change of an earlier generation than the stored one is ignored. Of two
// nodes that take over a meta with the same generation, the first one wins, and what is stored is published again for
// the other one. That a meta has left is published again for an owner whose save arrives late.
func (n *Node) SavePresences(topic string, metas []hub.SharedPresence) error {
	return n.do("save presences", func(k *keyspace) {
		all, _ := load[map[string]hub.SharedPresence](k, presenceKey(topic))
		if all = maps.Clone(all); all == nil {
			all = make(map[string]hub.SharedPresence)
		}
		var published []hub.SharedPresence
		for _, m := range metas {
			stored, ok := all[m.ID]
			left, hasLeft := load[int](k, leftKey(topic, m.ID))
			switch {
			case ok && stored.Generation > m.Generation:
			case ok && stored.Generation == m.Generation && !m.Gone && stored.Node != m.Node:
				published = append(published, stored)
			case !ok && hasLeft && left >= m.Generation && !m.Gone:
				published = append(published, hub.SharedPresence{ID: m.ID, Generation: left, Gone: true})
			default:
				published = append(published, m)
				if all[m.ID] = m; !m.Gone {
					continue
				}
				delete(all, m.ID)
				if m.Generation > 0 {
					k.set(leftKey(topic, m.ID), m.Generation, leftTTL)
				}
			}
		}
		k.set(presenceKey(topic), all, presenceTTL)
		if len(published) > 0 {
			n.cluster.publish(presenceKey(topic), published, false)
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
