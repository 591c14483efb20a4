package predict

import (
	"bytes"
	"context"
	"math"
	"unicode/utf8"
)

// Request is what to continue. Texts must be valid UTF-8; of long ones only the part near the cursor is looked at.
type Request struct {
	Prefix string
	Suffix string   // what stands after the cursor
	Extra  []string // other text, the most relevant last
	Corpus *Doc     // a prebuilt index; nil for none
	Seed   int64    // decides between equally probable continuations
}

// Completion is a completion being made. It is for one goroutine.
type Completion struct {
	stepper
	join       joiner
	rules      rules
	partial    []byte  // the token at the cursor, which may be half typed and is not in cur yet
	confidence float32 // the probability that all so far is right
	lineEnd    *group  // the line's end that was predicted already
	done       bool
	counted    bool // something in the line has been counted on
	listed     bool // something in the line is the next of a list
}

// Thresholds of the generator, chosen with the evaluation: a higher one says less and errs less.
const (
	minToken        = 0.45 // a token less probable than this is not said
	minConfidence   = 0.52 // nor one with which all that was said is right with less than this probability
	minCertain      = 0.90 // a token more probable than this hardly makes the completion less sure, as errors come together:
	certainExponent = 0.08 // its probability counts with this exponent
	completeWord    = 0.35 // how probable it is that an unknown word before the cursor is finished
)

// New reads a request and gets ready to continue it. Its error is ctx's.
func New(ctx context.Context, r Request) (*Completion, error) {
	prefix := tail(r.Prefix, MaxPrefix)
	suffix := head(r.Suffix, MaxSuffix)
	extra := extras(r.Extra)
	size := len(prefix) + len(suffix)
	for _, e := range extra {
		size += len(e)
	}
	cur := newDoc(size / 3)
	for _, e := range extra {
		if err := cur.addText(ctx, []byte(e), true); err != nil {
			return nil, err
		}
	}
	if err := cur.addText(ctx, []byte(suffix), true); err != nil {
		return nil, err
	}
	c := &Completion{stepper: stepper{cur: cur, seed: r.Seed}, confidence: 1}
	if r.Corpus != nil {
		c.others = []*Doc{r.Corpus}
	}
	c.join = newJoiner(prefix, suffix)
	if err := c.read(ctx, []byte(prefix)); err != nil {
		return nil, err
	}
	c.rules = newRules(c.join.before, c.cur.indentHere(c.partial))
	return c, nil
}

// read adds the prefix, keeps its last token in need, and tries the predictor on the tokens before.
func (c *Completion) read(ctx context.Context, text []byte) error {
	var toks []token
	for off := 0; off < len(text); {
		t := lex(text[off:])
		toks = append(toks, t)
		off += int(t.size)
		if len(toks)%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if n := len(toks) - 1; n >= 0 && toks[n].kind != kindPunct {
		c.partial = text[len(text)-int(toks[n].size):]
		toks = toks[:n]
	}
	right, tried := 0, 0
	for i, t := range toks {
		b := text[:t.size]
		if i >= len(toks)-warmTokens && i > 8 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			g, ok := c.next(nil)
			if tried++; ok && g.text == string(b) {
				right++
			}
		}
		c.cur.add(b)
		text = text[t.size:]
	}
	if tried > 0 {
		c.warm = float32(right) / float32(tried)
	}
	return nil
}

// Tokens returns how many tokens the request was read as.
func (c *Completion) Tokens() int {
	if len(c.partial) > 0 {
		return len(c.cur.toks) + 1
	}
	return len(c.cur.toks)
}

// Line returns the tokens of the next line: first the rest of the cursor's line, later whole lines that begin with their newline.
// It returns nil where there is nothing more to say, and from then on. Its error is ctx's. Together the tokens are valid UTF-8 each.
func (c *Completion) Line(ctx context.Context) ([]string, error) {
	if c.done {
		return nil, nil
	}
	line, err := c.line(ctx)
	if err != nil {
		c.done = true
		return nil, err
	}
	first := c.rules.lines == 0
	if c.done && !first {
		line = nil // half a line is more often wrong than of use
	}
	line, last := c.join.cut(line, first, c.done)
	if !c.rules.allow(line, c.counted, c.listed) {
		line, last = nil, true
	}
	line = trim(line)
	if last || c.rules.ended() || len(line) == 0 && !first {
		c.done = true
	}
	if len(line) == 0 && !c.done {
		return c.Line(ctx)
	}
	return line, nil
}

// line generates up to the next line's end, which it holds back. It sets done where the predictor has nothing more to say.
func (c *Completion) line(ctx context.Context) ([]string, error) {
	var line []string
	c.counted, c.listed = false, false
	if c.lineEnd != nil {
		line = c.accept(line, *c.lineEnd)
		c.lineEnd = nil
	}
	for len(line) < maxLine {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		g, ok := c.next(c.partial)
		if !ok || g.prob < minToken || c.confidence*weighted(g.prob) < minConfidence {
			if c.acceptPartial() {
				continue
			}
			c.done = true
			return line, nil
		}
		if g.kind == kindLine && len(c.partial) == 0 {
			c.lineEnd = &g
			return line, nil
		}
		if line = c.accept(line, g); c.cur.cycles(len(line)) {
			break
		}
	}
	c.done = true
	return line, nil
}

// weighted is what a token of probability p does to the completion's.
func weighted(p float32) float32 {
	if p > minCertain {
		return float32(math.Pow(float64(p), certainExponent))
	}
	return p
}

// acceptPartial takes a word before the cursor that nothing continues as a whole one.
func (c *Completion) acceptPartial() bool {
	if len(c.partial) == 0 || !endsInWord(c.partial) {
		return false
	}
	c.cur.add(c.partial)
	c.partial = nil
	c.confidence *= completeWord
	return true
}

// accept adds a predicted token to cur and to line, without what is typed of it already.
func (c *Completion) accept(line []string, g group) []string {
	c.confidence *= weighted(g.prob)
	c.counted = c.counted || g.how == opCount || g.how == opSure
	c.listed = c.listed || g.list > 0
	text := []byte(g.text)
	rest, _ := untyped(text, c.partial, g.kind)
	text = append(c.partial[:len(c.partial):len(c.partial)], rest...)
	c.partial = nil
	for b := text; len(b) > 0; {
		b = b[c.cur.add(b):]
	}
	if len(rest) > 0 {
		line = append(line, string(rest))
	}
	return line
}

func endsInWord(b []byte) bool {
	r, _ := utf8.DecodeLastRune(b)
	return isWord(r)
}

// trim takes white space off the end of a line of tokens.
func trim(line []string) []string {
	for len(line) > 0 && len(bytes.TrimSpace([]byte(line[len(line)-1]))) == 0 {
		line = line[:len(line)-1]
	}
	return line
}

// tail returns the end of s, at most n bytes, from the beginning of a line where that is near.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	for i := 0; i < len(s) && i < 4096; i++ {
		if s[i] == '\n' {
			return s[i:]
		}
	}
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}

// head returns the beginning of s, at most n bytes.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// extras keeps the last MaxExtra bytes of texts.
func extras(texts []string) []string {
	left := MaxExtra
	var out []string
	for i := len(texts) - 1; i >= 0 && left > 0; i-- {
		t := tail(texts[i], left)
		left -= len(t)
		out = append([]string{t}, out...)
	}
	return out
}

// indentHere returns the indentation of the cursor's line, of which need is the last token.
func (d *Doc) indentHere(need []byte) []byte {
	if bytes.IndexByte(need, '\n') >= 0 {
		return afterNewline(need)
	}
	return d.indent(len(d.toks))
}
