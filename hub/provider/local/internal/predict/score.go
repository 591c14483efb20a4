package predict

import (
	"math"
	"math/bits"
)

// features of one proposal; their weights are in weights.go. fBias is always 1.
const (
	fBias = iota
	fLit
	fShape
	fFar
	fClash
	fDiff
	fSame
	fLit2
	fLit4
	fLit8
	fOther // from the corpus, or another text of the request
	fDistance
	fSeen // how much speaks for the substitution applied
	fFirm
	fBroken
	fRows
	fNeed    // how much of the token is typed already
	fOp      // one for each op
	fOpLit   = fOp + int(ops)
	fOpShape = fOpLit + int(ops)
	fCount   = fOpShape + int(ops)
)

// features of a group of equal proposals.
const (
	gBias = iota
	gBest
	gShare
	gVotes
	gAll
	gMargin
	gWarm
	gNeed
	gBestSquare
	gShareSquare
	gSeen // how much speaks for the best substitution
	gBestShare
	gKind     // one for each kind
	gWarmBest = gKind + int(kindSpace) + 1
	gCount    = gWarmBest + 1
)

// log2p is log2(1+n) scaled to about 0…1 for the n that occur.
func log2p(n int) float32 {
	if n < len(logs) {
		return logs[n]
	}
	return float32(bits.Len(uint(n))) / 6
}

var logs = func() (t [128]float32) {
	for i := range t {
		t[i] = float32(math.Log2(float64(1+i)) / 6)
	}
	return t
}()

// describe fills in the features of a proposal.
func describe(f *[fCount]float32, al *alignment, how op, seen, distance, need int) {
	*f = [fCount]float32{}
	f[fBias] = 1
	lit, shape := log2p(al.lit), log2p(al.shape)
	f[fLit], f[fShape], f[fFar] = lit, shape, log2p(al.far)
	f[fClash], f[fDiff], f[fSame] = log2p(al.clash), log2p(al.diff), log2p(al.same)
	f[fLit2], f[fLit4], f[fLit8] = flag(al.lit >= 2), flag(al.lit >= 4), flag(al.lit >= 8)
	if distance < 0 {
		f[fOther], f[fDistance] = 1, 1
	} else {
		f[fDistance] = float32(bits.Len(uint(distance))) / 16
	}
	f[fNeed], f[fSeen], f[fFirm], f[fBroken] = log2p(need), log2p(seen), log2p(al.firm), log2p(al.broken)
	f[fRows] = log2p(al.rows)
	f[fOp+int(how)], f[fOpLit+int(how)], f[fOpShape+int(how)] = 1, lit, shape
}

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

func dot(w, f []float32) float32 {
	var s float32
	for i, x := range f {
		s += w[i] * x
	}
	return s
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// group is all proposals of the same text for the next token.
type group struct {
	text  string // with leading spaces
	kind  kind
	best  float32 // the best proposal's logit
	odds  float32 // the sum of the proposals' odds
	votes int
	typed int     // how much of text is typed already
	prob  float32 // that this is what comes next
	seen  int     // how much speaks for its best substitution
	f     [gCount]float32
}

const maxLogit = 6

// vote adds a proposal with the given logit to its group.
func vote(groups []group, text []byte, k kind, logit float32, typed, seen int) []group {
	logit = min(max(logit, -maxLogit), maxLogit)
	odds := float32(math.Exp(float64(logit)))
	for i := range groups {
		g := &groups[i]
		if g.text == string(text) {
			g.best, g.odds, g.votes, g.seen = max(g.best, logit), g.odds+odds, g.votes+1, max(g.seen, seen)
			return groups
		}
	}
	return append(groups, group{text: string(text), kind: k, best: logit, odds: odds, votes: 1, typed: typed, seen: seen})
}

// judge gives each group its probability. warm is the share of the last tokens that were predicted right.
func judge(groups []group, warm float32) {
	var all float32
	votes := 0
	for i := range groups {
		all += groups[i].odds
		votes += groups[i].votes
	}
	for i := range groups {
		g := &groups[i]
		margin := float32(maxLogit)
		for j := range groups {
			if j != i {
				margin = min(margin, g.best-groups[j].best)
			}
		}
		f := &g.f
		*f = [gCount]float32{}
		f[gBias], f[gBest], f[gShare] = 1, g.best/4, g.odds/(all+0.1)
		f[gVotes], f[gAll], f[gMargin] = log2p(g.votes), log2p(votes), margin/4
		f[gWarm], f[gNeed], f[gBestShare] = warm, log2p(g.typed), f[gShare]*g.best/4
		f[gBestSquare], f[gShareSquare], f[gSeen] = g.best*g.best/16, f[gShare]*f[gShare], log2p(g.seen)
		f[gKind+int(g.kind)] = 1
		f[gWarmBest] = warm * g.best / 4
		g.prob = sigmoid(dot(groupWeights[:], f[:]))
	}
}
