package predict

import (
	"math"
	"math/bits"
)

// Features of one proposal; their weights are in weights.go. fBias is always 1.
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
	fOther // from the corpus, or from another text of the request
	fDistance
	fSeen // evidence for the applied substitution
	fFirm
	fBroken
	fRows
	fLessLit // how much shorter the matching context is than that of the best proposal
	fLessShape
	fShape3
	fShape6
	fShape12
	fNeed    // how much of the token is typed already
	fOp      // one for each op
	fOpLit   = fOp + int(ops)
	fOpShape = fOpLit + int(ops)
	fOpSeen  = fOpShape + int(ops)
	fOpFirm  = fOpSeen + int(ops)
	fOpRows  = fOpFirm + int(ops)
	fOpFar   = fOpRows + int(ops)
	fCount   = fOpFar + int(ops)
)

// Features of a group of equal proposals.
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
	gSeen    // evidence for the best substitution
	gList    // evidence for it as the next element of a list
	gDiverse // whether different tokens became the same text by substitution
	gBestShare
	gKind     // one for each kind
	gWarmBest = gKind + int(kindSpace) + 1
	gCount    = gWarmBest + 1
)

// log2p returns log2(1+n), scaled to about 0…1 for usual n.
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

// describe computes the features of a proposal.
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
	f[fShape3], f[fShape6], f[fShape12] = flag(al.shape >= 3), flag(al.shape >= 6), flag(al.shape >= 12)
	f[fRows] = log2p(al.rows)
	f[fOp+int(how)], f[fOpLit+int(how)], f[fOpShape+int(how)] = 1, lit, shape
	f[fOpSeen+int(how)], f[fOpFirm+int(how)] = f[fSeen], f[fFirm]
	f[fOpRows+int(how)], f[fOpFar+int(how)] = f[fRows], f[fFar]
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
		if x != 0 {
			s += w[i] * x
		}
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
	typed int       // how much of text is typed already
	prob  float32   // probability that this is the next token
	how   op        // origin of its best proposal
	from  [4]uint32 // hashes of the different tokens that became text
	froms int
	list  int // evidence for its best proposal from a list
	seen  int // evidence for its best substitution
	f     [gCount]float32
}

// source records a token that became the group's text.
func (g *group) source(from uint32) {
	for _, f := range g.from[:g.froms] {
		if f == from {
			return
		}
	}
	if g.froms < len(g.from) {
		g.from[g.froms] = from
		g.froms++
	}
}

const maxLogit = 6

// vote adds a proposal to its group.
func vote(groups []group, p *proposal) []group {
	logit := min(max(dot(proposalWeights[:], p.f[:]), -maxLogit), maxLogit)
	odds := float32(math.Exp(1.5 * float64(logit)))
	for i := range groups {
		g := &groups[i]
		if g.text != string(p.text) {
			continue
		}
		if logit > g.best {
			g.best, g.how = logit, p.how
		}
		g.odds, g.votes, g.seen = g.odds+odds, g.votes+1, max(g.seen, p.seen)
		if p.how == opList {
			g.list = max(g.list, p.seen)
		}
		g.source(p.from)
		return groups
	}
	list := 0
	if p.how == opList {
		list = p.seen
	}
	return append(groups, group{
		list: list, text: string(p.text), kind: p.kind, best: logit, odds: odds, votes: 1, typed: p.typed, seen: p.seen,
		how: p.how, from: [4]uint32{p.from}, froms: 1,
	})
}

// scoreGroups computes each group's probability. warm is the share of the last tokens that were predicted correctly.
func scoreGroups(groups []group, warm float32) {
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
		f[gList] = log2p(g.list)
		f[gDiverse] = log2p(g.froms - 1)
		f[gKind+int(g.kind)] = 1
		f[gWarmBest] = warm * g.best / 4
		g.prob = sigmoid(dot(groupWeights[:], f[:]))
	}
}
