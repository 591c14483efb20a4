package hub

import (
	"encoding/json"
	"iter"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Limits of what a user has at one time (connections, unfinished streams, jobs) hold for all nodes together. Each node
// broadcasts its usage every second, and adds what the others have reported to its own. Nobody waits for these reports,
// so requests that reach several nodes within a moment may exceed a limit.

const (
	usageInterval = time.Second
	usageTimeout  = 5 * time.Second // without a report for so long, a node's usage counts as zero
)

// callUsage reports a node's usage to the others.
const callUsage = "usage"

// Most users never come near a limit. To keep reports short, a key is reported only if it uses more than the limit
// divided by reportedShare, and a limit only if no more than maxUsageKeys keys do.
const (
	reportedShare = 64
	maxUsageKeys  = 10_000
)

// usage is how much of their limits the users use, on this node and on others.
type usage struct {
	mu     lock.RWMutex
	here   []limitUsage
	others map[string]*nodeUsage // by node
}

// limitUsage is the usage of one limit on this node.
type limitUsage struct {
	name        string
	reportAbove int                    // keys that use no more are not reported
	counts      iter.Seq2[string, int] // usage by key
}

// nodeUsage is the report of another node.
type nodeUsage struct {
	Node  string                    `json:"node"`
	Usage map[string]map[string]int `json:"usage"` // by limit and key
	at    time.Time                 // when it was received
}

// ShareUsage has the usage of a limit counted over all nodes. counts iterates over all keys that use it; on a single
// node it is never called.
func (c *Cluster) ShareUsage(name string, limit int, counts iter.Seq2[string, int]) {
	if c == nil {
		return
	}
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	c.usage.here = append(c.usage.here, limitUsage{name, limit / reportedShare, counts})
}

// RemoteUsage returns how much of a limit a key uses on other nodes.
func (c *Cluster) RemoteUsage(name, key string) (n int) {
	if c == nil {
		return 0
	}
	c.usage.mu.RLock()
	defer c.usage.mu.RUnlock()
	for _, other := range c.usage.others {
		if count := other.Usage[name][key]; count > 0 && time.Since(other.at) < usageTimeout {
			n += count
		}
	}
	return n
}

// receive answers callUsage: it stores the report of another node.
func (u *usage) receive(body []byte) ([]byte, error) {
	report := &nodeUsage{at: time.Now()}
	if err := json.Unmarshal(body, report); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.others == nil {
		u.others = make(map[string]*nodeUsage)
	}
	u.others[report.Node] = report
	for node, other := range u.others {
		if len(other.Usage) == 0 || time.Since(other.at) >= usageTimeout {
			delete(u.others, node)
		}
	}
	return nil, nil
}

// current returns the usage on this node that is to be reported, by limit and key.
func (u *usage) current() map[string]map[string]int {
	u.mu.RLock()
	here := u.here
	u.mu.RUnlock()
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

// broadcastUsage reports this node's usage to the others until the hub closes.
func (c *Cluster) broadcastUsage() {
	for reported := false; c.hub.background.Pause(usageInterval); {
		all := c.usage.current()
		if len(all) > 0 || reported { // an empty report follows the last one that was not empty, once
			c.Broadcast(callUsage, mustJSON(nodeUsage{Node: c.streams.Node(), Usage: all}))
		}
		reported = len(all) > 0
	}
}

// The limits that the hub itself shares.
const (
	usageStreams    = "streams_per_user"
	usageKeyStreams = "key_streams"
	usageJobs       = "jobs_per_user"
	usageKeyJobs    = "key_jobs"
)

// startUsage shares the usage of the hub's own limits, and starts to report and to receive usage.
func (c *Cluster) startUsage() {
	h := c.hub
	h.streams.running.share(c, func(read func()) {
		h.streams.mu.RLock()
		defer h.streams.mu.RUnlock()
		read()
	})
	h.jobs.unfinished.share(c, func(read func()) {
		h.jobs.mu.Lock()
		defer h.jobs.mu.Unlock()
		read()
	})
	c.OnCall(callUsage, c.usage.receive)
	h.background.Go(c.broadcastUsage)
}
