package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan is a history before it happens: who acts, and what goes wrong when. It is made of a seed, and gets simpler by
// leaving parts out.
type plan struct {
	seed     uint64
	nodes    int
	history  int // events that are kept of a topic; 0: all
	actors   []actor
	troubles []trouble
}

// actor is one client, or several of a kind: its kind and its own seed.
type actor struct {
	kind string
	seed uint64
}

// trouble is one thing that goes wrong for a time.
type trouble struct {
	kind string
	node int
	at   time.Duration
	last time.Duration
}

// The kinds of trouble. Each class of histories has those of the classes before it, too.
const (
	flaky    = "flaky"    // commands are refused, or done and their answers lost
	slow     = "slow"     // commands take time
	late     = "late"     // messages take time
	twice    = "twice"    // messages come twice
	cut      = "cut"      // the node is cut off
	deaf     = "deaf"     // the node hears nothing
	paused   = "paused"   // the node stands still
	crash    = "crash"    // the node dies, and another begins
	away     = "away"     // the store stops, and comes back with everything
	replaced = "replaced" // another store takes over, which lacks the last half second
	amnesia  = "amnesia"  // the store comes back without the last second
	empty    = "empty"    // the store comes back empty
)

var classes = [][]string{{flaky, slow, late, twice}, {cut, deaf, paused}, {crash}, {away}, {replaced, amnesia, empty}}

// active is for how long clients act and things go wrong. Troubles that last longer than a lease are among them.
const (
	active      = 40 * time.Second
	longTrouble = 25 * time.Second
)

var actorKinds = []string{
	"topic", "queue", "stream", "completion", "job", "presence", "revocation", "conversation", "session",
}

// moreKinds are drawn by a chance of their own, so that what else happens with a seed does not depend on them.
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

// without returns the plans that leave one part out.
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
