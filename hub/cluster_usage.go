package hub

import (
	"encoding/json"
	"iter"
	"maps"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// What users have at one time (connections, unfinished streams, jobs) is limited over all nodes. Each node tells the
// others every second how much there is with it, and counts theirs as its own. Nobody waits for that, so what comes to
// several nodes within a moment may be more.

// Times of telling.
const (
	usageInterval = time.Second
	usageTimeout  = 5 * time.Second // a node that was not heard of for so long holds nothing
)

// callUsage tells other nodes what is held here.
const callUsage = "usage"

// Most users never come near a limit: nobody is told of what is not more than one in so many of it, nor of more than so
// many keys of a limit.
const (
	reportedShare = 64
	maxUsageKeys  = 10_000
)

// usage is how much of its limits users take, here and on other nodes.
type usage struct {
	mu     lock.RWMutex
	here   []limitUsage
	others map[string]*nodeUsage
}

// limitUsage is one limit's.
type limitUsage struct {
	name        string
	reportAbove int // of a key: others are told of more
	counts      iter.Seq2[string, int]
}

// nodeUsage is what another node has told.
type nodeUsage struct {
	Node  string                    `json:"node"`
	Usage map[string]map[string]int `json:"usage"` // by limit and key
	at    time.Time
}

// ShareUsage has what is held of a limit counted over all nodes. counts goes through all keys of it; on one node nobody
// asks it to.
func (h *Hub) ShareUsage(name string, limit int, counts iter.Seq2[string, int]) {
	if h.cluster == nil {
		return
	}
	h.cluster.usage.mu.Lock()
	defer h.cluster.usage.mu.Unlock()
	h.cluster.usage.here = append(h.cluster.usage.here, limitUsage{name, limit / reportedShare, counts})
}

// RemoteUsage returns how much of a limit a key holds on other nodes.
func (h *Hub) RemoteUsage(name, key string) (n int) {
	if h.cluster == nil {
		return 0
	}
	h.cluster.usage.mu.RLock()
	defer h.cluster.usage.mu.RUnlock()
	for _, other := range h.cluster.usage.others {
		if count := other.Usage[name][key]; count > 0 && time.Since(other.at) < usageTimeout {
			n += count
		}
	}
	return n
}

// hear takes what another node tells.
func (l *usage) receive(body []byte) ([]byte, error) {
	told := &nodeUsage{at: time.Now()}
	if err := json.Unmarshal(body, told); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.others == nil {
		l.others = make(map[string]*nodeUsage)
	}
	l.others[told.Node] = told
	for node, other := range l.others {
		if len(other.Usage) == 0 || time.Since(other.at) >= usageTimeout {
			delete(l.others, node)
		}
	}
	return nil, nil
}

// tellUsage tells the others, until the hub closes.
func (h *Hub) tellUsage() {
	for told := false; h.Pause(usageInterval); {
		all := h.cluster.usage.current()
		if len(all) > 0 || told { // that there is nothing any more is told once
			h.Broadcast(callUsage, mustJSON(nodeUsage{Node: h.Node(), Usage: all}))
		}
		told = len(all) > 0
	}
}

// all returns what is held here.
func (l *usage) current() map[string]map[string]int {
	l.mu.RLock()
	here := l.here
	l.mu.RUnlock()
	all := make(map[string]map[string]int)
	for _, limit := range here {
		keys := make(map[string]int)
		for key, n := range limit.counts {
			if n > limit.reportAbove {
				keys[key] = n
			}
		}
		if len(keys) > 0 && len(keys) <= maxUsageKeys {
			all[limit.name] = keys
		}
	}
	return all
}

// What the hub itself shares.
const (
	usageStreams = "streams_per_user"
	usageJobs    = "jobs_per_user"
)

// shareUsage begins the telling.
func (h *Hub) shareUsage() {
	h.ShareUsage(usageStreams, h.limits.StreamsPerUser, func(yield func(string, int) bool) {
		h.streams.mu.RLock()
		defer h.streams.mu.RUnlock()
		maps.All(h.streams.running)(yield)
	})
	h.ShareUsage(usageJobs, h.limits.JobsPerUser, func(yield func(string, int) bool) {
		h.jobs.mu.Lock()
		defer h.jobs.mu.Unlock()
		maps.All(h.jobs.byUser)(yield)
	})
	h.OnCall(callUsage, h.cluster.usage.receive)
	h.background.Go(h.tellUsage)
}
