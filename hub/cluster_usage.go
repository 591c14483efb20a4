package hub

import (
	"encoding/json"
	"iter"
	"maps"
	"sync"
	"time"
)

// What users hold at one time (connections, unfinished streams and jobs) is limited over all nodes: each tells the others again and again how much
// of it there is with it, and counts theirs as its own. Nobody waits for that, so what comes to several nodes within a moment may be more.

// Times of telling.
const (
	tellHeldEvery = time.Second
	heldLasts     = 5 * time.Second // a node that was not heard of for so long holds nothing
)

// callHeld tells other nodes what is held here.
const callHeld = "held"

// Most users never come near a limit: nobody is told of what is not more than one in so many of it, nor of more than so many keys of a limit.
const (
	littleHeld  = 64
	maxHeldKeys = 10_000
)

// held is what is held, here and on other nodes.
type held struct {
	mu     sync.RWMutex
	here   []holding
	others map[string]*nodeHeld
}

// holding is one limit's.
type holding struct {
	name   string
	least  int // of a key: others are told of more
	counts iter.Seq2[string, int]
}

// nodeHeld is what another node has told.
type nodeHeld struct {
	Node string                    `json:"node"`
	Held map[string]map[string]int `json:"held"` // by limit and key
	at   time.Time
}

// ShareHeld has what is held of a limit counted over all nodes. counts goes through all keys of it; on one node nobody asks it to.
func (h *Hub) ShareHeld(name string, limit int, counts iter.Seq2[string, int]) {
	h.held.mu.Lock()
	defer h.held.mu.Unlock()
	h.held.here = append(h.held.here, holding{name, limit / littleHeld, counts})
}

// HeldElsewhere returns how much of a limit a key holds on other nodes.
func (h *Hub) HeldElsewhere(name, key string) (n int) {
	h.held.mu.RLock()
	defer h.held.mu.RUnlock()
	for _, other := range h.held.others {
		if count := other.Held[name][key]; count > 0 && time.Since(other.at) < heldLasts {
			n += count
		}
	}
	return n
}

// hear takes what another node tells.
func (l *held) hear(body []byte) ([]byte, error) {
	told := &nodeHeld{at: time.Now()}
	if err := json.Unmarshal(body, told); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.others == nil {
		l.others = make(map[string]*nodeHeld)
	}
	l.others[told.Node] = told
	for node, other := range l.others {
		if len(other.Held) == 0 || time.Since(other.at) >= heldLasts {
			delete(l.others, node)
		}
	}
	return nil, nil
}

// tellHeld tells the others, until the hub closes.
func (h *Hub) tellHeld() {
	for told := false; h.Pause(tellHeldEvery); {
		all := h.held.all()
		if len(all) > 0 || told { // that there is nothing any more is told once
			body, _ := json.Marshal(nodeHeld{Node: h.Node(), Held: all}) // of strings and numbers
			h.TellAll(callHeld, body)
		}
		told = len(all) > 0
	}
}

// all returns what is held here.
func (l *held) all() map[string]map[string]int {
	l.mu.RLock()
	here := l.here
	l.mu.RUnlock()
	all := make(map[string]map[string]int)
	for _, limit := range here {
		keys := make(map[string]int)
		for key, n := range limit.counts {
			if n > limit.least {
				keys[key] = n
			}
		}
		if len(keys) > 0 && len(keys) <= maxHeldKeys {
			all[limit.name] = keys
		}
	}
	return all
}

// What the hub itself shares.
const (
	heldStreams = "streams_per_user"
	heldJobs    = "jobs_per_user"
)

// shareHeld begins the telling.
func (h *Hub) shareHeld() {
	h.ShareHeld(heldStreams, h.limits.StreamsPerUser, func(yield func(string, int) bool) {
		h.streams.mu.RLock()
		defer h.streams.mu.RUnlock()
		maps.All(h.streams.running)(yield)
	})
	h.ShareHeld(heldJobs, h.limits.JobsPerUser, func(yield func(string, int) bool) {
		h.jobs.mu.Lock()
		defer h.jobs.mu.Unlock()
		maps.All(h.jobs.byUser)(yield)
	})
	h.OnCall(callHeld, h.held.hear)
	h.work.Go(h.tellHeld)
}
