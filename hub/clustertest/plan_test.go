package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan describes a history: its actors, and its faults with their times. It is generated from a seed, and simplified by
// leaving out parts.
type plan struct {
	seed     uint64
	nodes    int
	history  int // events kept per topic; 0: all
	actors   []actor
	troubles []trouble
}

// actor is a group of clients of one kind, with a seed of its own.
type actor struct {
	kind string
	seed uint64
}

// trouble is one fault, with its time and duration.
type trouble struct {
	kind string
	node int
	at   time.Duration
	last time.Duration
}

// The kinds of faults. Each class of histories includes the kinds of the classes before it.
const (
	flaky    = "flaky"    // commands fail, or are executed and their answers are lost
	slow     = "slow"     // commands take time
	late     = "late"     // messages take time
	twice    = "twice"    // messages come twice
	cut      = "cut"      // the node is cut off
	deaf     = "deaf"     // the node receives no messages
	paused   = "paused"   // the node's commands and messages wait
	crash    = "crash"    // the node dies, and a new one replaces it
	away     = "away"     // the store stops, and returns with all data
	replaced = "replaced" // a replica takes over that lacks the last half second
	amnesia  = "amnesia"  // the store returns without the last second
	empty    = "empty"    // the store returns empty
)

var classes = [][]string{{flaky, slow, late, twice}, {cut, deaf, paused}, {crash}, {away}, {replaced, amnesia, empty}}

// active is how long clients act and faults begin. longTrouble exceeds a node's lease.
const (
	active      = 40 * time.Second
	longTrouble = 25 * time.Second
)

var actorKinds = []string{
	"topic", "queue", "stream", "completion", "job", "presence", "revocation", "conversation", "session",
}

// moreKinds are drawn from a random source of their own, so that adding a kind leaves the rest of a seed's plan as it
// is.
var moreKinds = []string{"polled", "admin", "cursor"}

func newPlan(seed uint64) *plan {
	rng, more := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 8))
	p := &plan{seed: seed, nodes: 2 + rng.IntN(3)}
	if rng.IntN(4) == 0 {
		p.history = 8
	}
	for range 1 + rng.IntN(4) {
		p.actors = append(p.actors, actor{actorKinds[rng.IntN(len(actorKinds))], rng.Uint64()})
	}
	for range more.IntN(3) {
		p.actors = append(p.actors, actor{moreKinds[more.IntN(len(moreKinds))], more.Uint64()})
	}
	kinds := slices.Concat(classes[:1+seed%uint64(len(classes))]...)
	for range rng.IntN(8) {
		t := trouble{kind: kinds[rng.IntN(len(kinds))], node: rng.IntN(p.nodes)}
		t.at = time.Duration(rng.Int64N(int64(active * 3 / 4)))
		t.last = time.Duration(rng.Int64N(int64(2 * time.Second)))
		if rng.IntN(3) == 0 {
			t.last += time.Duration(rng.Int64N(int64(longTrouble)))
		}
		p.troubles = append(p.troubles, t)
	}
	slices.SortFunc(p.troubles, func(a, b trouble) int { return int(a.at - b.at) })
	return p
}

// without returns all plans that lack one part of this one.
func (p *plan) without() (simpler []*plan) {
	for i := range p.troubles {
		q := *p
		q.troubles = slices.Delete(slices.Clone(p.troubles), i, i+1)
		simpler = append(simpler, &q)
	}
	for i := range p.actors {
		q := *p
		q.actors = slices.Delete(slices.Clone(p.actors), i, i+1)
		simpler = append(simpler, &q)
	}
	return simpler
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes;", p.seed, p.nodes)
	for _, a := range p.actors {
		fmt.Fprintf(&b, " %s", a.kind)
	}
	for _, t := range p.troubles {
		at, last := t.at.Round(time.Millisecond), t.last.Round(time.Millisecond)
		fmt.Fprintf(&b, "; node %d is %s at %v for %v", t.node, t.kind, at, last)
	}
	return b.String()
}
