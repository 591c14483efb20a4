package predict

import (
	"bytes"
	"context"
	"math"
	"unicode/utf8"
)

// Request describes the text to continue. Texts must be valid UTF-8. Of long texts only the part near the cursor is
// used.
type Request struct {
	Prefix string
	Suffix string   // text after the cursor
	Extra  []string // other text, most relevant last
	Corpus *Doc     // a prebuilt index; nil for none
	Seed   int64    // breaks ties between equally probable continuations
}

// Completion is a running completion. It is for one goroutine.
type Completion struct {
	stepper
	join       joiner
	rules      rules
	partial    []byte  // the token at the cursor, which may be incomplete and is not in cur yet
	confidence float32 // probability that all tokens so far are right
	lineEnd    *group  // the line's end that was predicted already
	done       bool
	counted    bool // the line contains a number that continues a sequence
	listed     bool // the line contains the next element of a list
}

// Thresholds of the generator, tuned with package eval: higher ones mean fewer and more precise completions.
const (
	minToken        = 0.45 // minimum probability of a token
	minConfidence   = 0.52 // minimum probability of the whole completion
	minCertain      = 0.90 // a token of higher probability hardly lowers the confidence, since errors are correlated:
	certainExponent = 0.08 // its probability counts with this exponent
	completeWord    = 0.35 // probability that an unknown word before the cursor is complete
)

// New tokenises a request and prepares the completion. Its error is ctx's.
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

// read adds the prefix without its last token, which becomes partial. It tests the predictor on the last tokens, to
// measure how predictable the text is.
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

// Tokens returns the number of tokens in the request.
func (c *Completion) Tokens() int {
	if len(c.partial) > 0 {
		return len(c.cur.toks) + 1
	}
	return len(c.cur.toks)
}

// Line returns the tokens of the next line: first the rest of the cursor's line, later whole lines, each beginning
// with its newline. It returns nil at the end of the completion. Its error is ctx's. Each token is valid UTF-8.
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
		line = nil // an incomplete line is more often wrong than useful
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

// line generates tokens up to the next line's end, which it stores in lineEnd. It sets done if no further token is
// probable enough.
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

// weighted returns the factor by which a token of probability p lowers the confidence.
func weighted(p float32) float32 {
	if p > minCertain {
		return float32(math.Pow(float64(p), certainExponent))
	}
	return p
}

// acceptPartial assumes that the word before the cursor is complete, if nothing continues it.
func (c *Completion) acceptPartial() bool {
	if len(c.partial) == 0 || !endsInWord(c.partial) {
		return false
	}
	c.cur.add(c.partial)
	c.partial = nil
	c.confidence *= completeWord
	return true
}

// accept adds a predicted token to cur and, without the part that is typed already, to line.
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

// trim removes white space at the end of a line of tokens.
func trim(line []string) []string {
	for len(line) > 0 && len(bytes.TrimSpace([]byte(line[len(line)-1]))) == 0 {
		line = line[:len(line)-1]
	}
	return line
}

// tail returns at most n bytes of the end of s, from the beginning of a line if there is one nearby.
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

// head returns at most n bytes of the beginning of s.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// extras returns the last MaxExtra bytes of texts.
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

// indentHere returns the indentation of the cursor's line, whose last token is partial.
func (d *Doc) indentHere(need []byte) []byte {
	if bytes.IndexByte(need, '\n') >= 0 {
		return afterNewline(need)
	}
	return d.indent(len(d.toks))
}
