package meter

import (
	"maps"
	"sync"
)

// maxNames bounds how many names are told apart.
const maxNames = 64

// OtherName is what stands for names beyond those that are told apart.
const OtherName = "other"

// Names counts rare things by name. The zero value is empty. However many names come, at most 64 are remembered, and the rest is one: a fault
// that lets names from outside in must not fill the memory.
type Names struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// Add counts one more.
func (n *Names) Add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = make(map[string]uint64)
	}
	if _, known := n.counts[name]; !known && len(n.counts) >= maxNames-1 {
		name = OtherName
	}
	n.counts[name]++
}

// Snapshot returns the counts.
func (n *Names) Snapshot() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts)
}
