package meter

import (
	"maps"
	"sync"
)

// maxNames is how many names are counted separately.
const maxNames = 64

// OtherName stands for all names beyond that limit.
const OtherName = "other"

// Names counts rare events by name. The zero value is empty. Names beyond the first 63 are counted as OtherName, so
// that names from outside cannot fill the memory.
type Names struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// Add adds one to a name's count.
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
