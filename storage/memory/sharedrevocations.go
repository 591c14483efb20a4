package memory

import (
	"maps"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

const (
	revocationsKey = "revocations"
	generationKey  = "generation of revocations"
)

// RevocationsGeneration implements rights.SharedRevocationStore.
func (n *Node) RevocationsGeneration() (generation string, err error) {
	err = n.do("generation of revocations", func(k *keyspace) {
		ok := false
		if generation, ok = load[string](k, generationKey); !ok {
			generation = n.cluster.newEpoch()
			k.set(generationKey, generation, 0)
		}
	})
	return generation, err
}

func (n *Node) changeRevocations(command string, change func(all map[subject]rights.Revocation)) error {
	return n.do(command, func(k *keyspace) {
		all, _ := load[map[subject]rights.Revocation](k, revocationsKey)
		if all = maps.Clone(all); all == nil {
			all = make(map[subject]rights.Revocation)
		}
		change(all)
		k.set(revocationsKey, all, 0)
	})
}

// SaveRevocation implements rights.RevocationStore.
func (n *Node) SaveRevocation(r rights.Revocation) error {
	return n.changeRevocations("save revocation", func(all map[subject]rights.Revocation) {
		key := subject{r.User, r.TokenID}
		all[key] = r.With(all[key])
	})
}

// DeleteRevocation implements rights.RevocationStore.
func (n *Node) DeleteRevocation(user, tokenID string) error {
	return n.changeRevocations("delete revocation", func(all map[subject]rights.Revocation) {
		delete(all, subject{user, tokenID})
	})
}

// ForgetRevocations implements rights.RevocationStore.
func (n *Node) ForgetRevocations(now time.Time) error {
	return n.changeRevocations("forget revocations", func(all map[subject]rights.Revocation) {
		maps.DeleteFunc(all, func(_ subject, r rights.Revocation) bool { return !now.Before(r.Until) })
	})
}

// LoadRevocations implements rights.RevocationStore.
func (n *Node) LoadRevocations(f func(rights.Revocation) error) error {
	var all map[subject]rights.Revocation
	err := n.do("load revocations", func(k *keyspace) {
		all, _ = load[map[subject]rights.Revocation](k, revocationsKey)
	})
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
