package predict

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
)

// Fit learns the weights of the two scorers from texts, and prints them as weights.go. It cuts each text at random
// places chosen by seed, and compares the proposals for the tokens after each cut with the actual text. Not for
// concurrent use with completions.
func Fit(w io.Writer, texts []string, cuts int, seed uint64) {
	old1, old2 := proposalWeights, groupWeights
	defer func() { proposalWeights, groupWeights = old1, old2 }()
	var f fitter
	for pass := range 4 {
		f.proposals = pass < 2
		f.rate = 0.3 / float32(1+pass%2*2)
		r := rand.New(rand.NewPCG(seed, uint64(pass)))
		for _, t := range texts {
			for range cuts {
				f.cut(t, r)
			}
		}
	}
	fmt.Fprintf(w, "package predict\n\n// The weights of the two logistic scorers, "+
		"fitted by \"go run ./hub/provider/local/eval -fit\" on the Go\n// standard library.\n")
	printWeights(w, "proposalWeights", "fCount", proposalWeights[:])
	fmt.Fprintln(w)
	printWeights(w, "groupWeights", "gCount", groupWeights[:])
}

// fitter fits a logistic regression by gradient descent with a rate per weight (AdaGrad).
type fitter struct {
	proposals bool // which of the two scorers learns: that of proposals, or that of groups
	rate      float32
	sums1     [fCount]float32
	sums2     [gCount]float32
}

const fitTokens = 10 // tokens used after a cut

func (f *fitter) cut(text string, r *rand.Rand) {
	at := r.IntN(len(text))
	rest := text[at:]
	hidden := min(len(rest), 20+r.IntN(400))
	suffix := ""
	if r.IntN(2) == 0 {
		suffix = rest[hidden:]
	}
	from := 0
	if r.IntN(2) == 0 {
		from = max(0, at-300-r.IntN(4000)) // about as much as plugins send
	}
	c, err := New(context.Background(), Request{Prefix: strings.ToValidUTF8(text[from:at], ""), Suffix: suffix})
	if err != nil {
		return
	}
	rest = string(c.partial) + rest
	for range fitTokens {
		if rest == "" {
			return
		}
		t := lex([]byte(rest))
		f.step(c, rest[:t.size])
		c.cur.add([]byte(rest))
		rest, c.partial = rest[t.size:], nil
	}
}

// step learns from one token whose true text is known.
func (f *fitter) step(c *Completion, truth string) {
	type example struct {
		f  [fCount]float32
		ok bool
	}
	var seen []example
	c.seen = func(f *[fCount]float32, text []byte) { seen = append(seen, example{*f, string(text) == truth}) }
	c.next(c.partial)
	c.seen = nil
	if f.proposals {
		for i := range seen {
			f.learn(proposalWeights[:], f.sums1[:], seen[i].f[:], seen[i].ok, 4/float32(4+len(seen)))
		}
		return
	}
	for i := range c.groups {
		g := &c.groups[i]
		f.learn(groupWeights[:], f.sums2[:], g.f[:], g.text == truth, 1)
	}
}

func (f *fitter) learn(w, sums, x []float32, ok bool, weight float32) {
	e := (flag(ok) - sigmoid(dot(w, x))) * weight
	for i, v := range x {
		if v == 0 {
			continue
		}
		g := e * v
		sums[i] += g * g
		w[i] += f.rate * g / (0.1 + float32(math.Sqrt(float64(sums[i]))))
	}
}

func printWeights(w io.Writer, name, size string, weights []float32) {
	fmt.Fprintf(w, "var %s = [%s]float32{", name, size)
	for i, x := range weights {
		if i%12 == 0 {
			fmt.Fprint(w, "\n\t")
		} else {
			fmt.Fprint(w, " ")
		}
		fmt.Fprintf(w, "%.3f,", x)
	}
	fmt.Fprint(w, "\n}\n")
}
