package clustertest

import (
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/duckwire/duckwire/storage/memory"
)

// inMemory implements network on a memory.Cluster.
type inMemory struct {
	seed    uint64
	cluster *memory.Cluster

	turn  sync.Mutex // serializes changes of the network
	nodes map[string]*memory.Node
	away  int

	mu     sync.Mutex // may be locked while the cluster is locked
	fault  func(format string, args ...any)
	now    time.Time // time of the last command
	atOnce int       // commands at that time
	loop   string    // the node and command found in a loop

	lag   int                       // how many faults delay all messages
	wrong map[string]map[string]int // by node and kind, the number of faults in progress
	asked map[string]uint64         // how often each decision was made
}

func newMemory(p *plan) *inMemory {
	m := &inMemory{
		seed: p.seed, nodes: make(map[string]*memory.Node),
		wrong: make(map[string]map[string]int), asked: make(map[string]uint64),
	}
	m.cluster = memory.NewCluster(memory.ClusterOptions{
		Lease: nodeLease, Command: m.command, Message: m.message, Spread: p.seed%2 == 0,
	})
	return m
}

func (m *inMemory) report(failf func(format string, args ...any)) { m.fault = failf }

func (m *inMemory) open(name string) store {
	m.turn.Lock()
	defer m.turn.Unlock()
	n := m.cluster.Node(name)
	m.nodes[name] = n
	return n
}

func (m *inMemory) die(name string) {
	m.turn.Lock()
	n := m.nodes[name]
	m.turn.Unlock()
	n.Cut()
	n.Resume()
}

func (m *inMemory) begin(t *trouble, name string) (end func()) {
	switch t.kind {
	case replaced:
		m.replace(t.last)
		return func() {}
	case away, amnesia, empty:
		m.stop()
		return func() { m.start(t.kind) }
	}
	m.change(name, t.kind, 1)
	return func() { m.change(name, t.kind, -1) }
}

// replace lets a replica take over while messages of the first store are still in transit.
func (m *inMemory) replace(during time.Duration) {
	m.addLag(1)
	time.Sleep(during / 2)
	m.cluster.Failover(time.Second / 2)
	time.Sleep(during / 2)
	m.addLag(-1)
	m.turn.Lock()
	defer m.turn.Unlock()
	for name, n := range m.nodes { // connections to the first store are closed
		if !m.is(name, cut) && !m.is(name, deaf) {
			n.Deafen()
			n.Mend()
		}
	}
}

func (m *inMemory) addLag(by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag += by
}

func (m *inMemory) is(name, kind string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wrong[name][kind] > 0
}

func (m *inMemory) stop() {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.away++
	m.cluster.Stop()
}

func (m *inMemory) start(kind string) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.away--
	switch kind {
	case away:
		m.cluster.Start()
	case amnesia:
		m.cluster.StartWithout(time.Second)
	case empty:
		m.cluster.StartEmpty()
	}
	if m.away > 0 {
		m.cluster.Stop()
	}
}

// change updates the faults of a node, and applies them.
func (m *inMemory) change(name, kind string, by int) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	is := m.wrong[name]
	if is == nil {
		is = make(map[string]int)
		m.wrong[name] = is
	}
	is[kind] += by
	isCut, isDeaf, isPaused := is[cut] > 0, is[deaf] > 0, is[paused] > 0
	m.mu.Unlock()
	n := m.nodes[name]
	switch {
	case kind != cut && kind != deaf:
	case isCut:
		n.Cut()
	default:
		if n.Mend(); isDeaf {
			n.Deafen()
		}
	}
	switch {
	case kind != paused:
	case isPaused:
		n.Pause()
	default:
		n.Resume()
	}
}

// underMutex are the commands that the hub issues while it holds a mutex. They must not take time: a synctest bubble's
// clock does not advance while a goroutine waits for a mutex.
var underMutex = []string{
	"messages", "expire", "save revocation", "delete revocation", "forget revocations", "load revocations",
	"generation of revocations",
}

// mostAtOnce is how many commands there may be at one time of the fake clock. More indicate a loop without a pause.
const mostAtOnce = 5_000

// tooMany reports whether a command belongs to a loop without a pause. Each loop is reported once; the caller slows it
// down so that the history ends.
func (m *inMemory) tooMany(node, command string) bool {
	if now := time.Now(); !now.Equal(m.now) {
		m.now, m.atOnce = now, 0
	}
	if m.atOnce++; m.atOnce == mostAtOnce {
		m.fault("%s gives the command %q again and again, without a pause", node, command)
		m.loop = node + command
	}
	return node+command == m.loop
}

func (m *inMemory) command(node, command string) (f memory.Fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tooMany(node, command) {
		f.Before = time.Second
		return f
	}
	is := m.wrong[node]
	if is[flaky] > 0 {
		switch m.decide("flaky", node, command) % 8 {
		case 0, 1:
			f.Refused = true
		case 2, 3:
			f.Lost = true
		}
	}
	if slices.Contains(underMutex, command) {
		f.Hasty = true
		return f
	}
	if is[slow] > 0 {
		f.Before = time.Duration(m.decide("before", node, command) % uint64(500*time.Millisecond))
		f.After = time.Duration(m.decide("after", node, command) % uint64(500*time.Millisecond))
	}
	return f
}

func (m *inMemory) message(node, channel string) (d memory.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := m.wrong[node]
	if is[late] > 0 || m.lag > 0 {
		d.After = time.Duration(m.decide("late", node, channel) % uint64(time.Second))
	}
	d.Twice = is[twice] > 0 && m.decide("twice", node, channel)%2 == 0
	return d
}

// decide returns a pseudo-random number that depends only on the seed, on what is decided, and on how often it was
// decided before. So concurrent activity elsewhere does not change it.
func (m *inMemory) decide(what ...string) uint64 {
	key := strings.Join(what, " ")
	m.asked[key]++
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	x := h.Sum64() ^ m.seed*0x9e3779b97f4a7c15 ^ m.asked[key]*0xbf58476d1ce4e5b9
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
