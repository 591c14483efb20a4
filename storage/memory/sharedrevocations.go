package memory

import (
	"maps"
	"time"

	"github.com/duckwire/duckwire/hub"
)

const revocationsKey = "revocations"

func (n *Node) changeRevocations(command string, change func(all map[subject]hub.Revocation)) error {
	return n.do(command, func(k *keyspace) {
		all, _ := load[map[subject]hub.Revocation](k, revocationsKey)
		if all = maps.Clone(all); all == nil {
			all = make(map[subject]hub.Revocation)
		}
		change(all)
		k.set(revocationsKey, all, 0)
	})
}

// SaveRevocation implements hub.RevocationStore.
func (n *Node) SaveRevocation(r hub.Revocation) error {
	return n.changeRevocations("save revocation", func(all map[subject]hub.Revocation) {
		all[subject{r.User, r.TokenID}] = r
	})
}

// DeleteRevocation implements hub.RevocationStore.
func (n *Node) DeleteRevocation(user, tokenID string) error {
	return n.changeRevocations("delete revocation", func(all map[subject]hub.Revocation) {
		delete(all, subject{user, tokenID})
	})
}

// ForgetRevocations implements hub.RevocationStore.
func (n *Node) ForgetRevocations(now time.Time) error {
	return n.changeRevocations("forget revocations", func(all map[subject]hub.Revocation) {
		maps.DeleteFunc(all, func(_ subject, r hub.Revocation) bool { return !now.Before(r.Until) })
	})
}

// LoadRevocations implements hub.RevocationStore.
func (n *Node) LoadRevocations(f func(hub.Revocation) error) error {
	var all map[subject]hub.Revocation
	err := n.do("load revocations", func(k *keyspace) { all, _ = load[map[subject]hub.Revocation](k, revocationsKey) })
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}
