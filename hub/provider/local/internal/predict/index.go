package predict

import "context"

// order is one way to look up a context: by the last n tokens, literally or by shape.
type order struct {
	n     int
	shape bool
}

// orders are the lookups in their order: the most specific come first.
var orders = [...]order{{8, false}, {4, false}, {2, false}, {16, true}, {7, true}, {1, false}}

// Doc is a tokenised and indexed text. It only grows at its end. Once it no longer grows, several goroutines may read
// it.
type Doc struct {
	text  []byte
	toks  []token
	heads [len(orders)][]int32 // by hash of the context: the newest place, or -1
	prevs [len(orders)][]int32 // by place: the next older place with the same hash
	mask  uint32
	quote byte                           // the quote character if the text ends within a string, otherwise 0
	names struct{ heads, prevs []int32 } // the places of each name, with or without spaces before it
}

// newDoc returns an empty Doc with tables for about n tokens. It may get more, at the cost of longer chains.
func newDoc(n int) *Doc {
	size := 256
	for size < n && size < 1<<22 {
		size *= 2
	}
	d := &Doc{mask: uint32(size - 1), toks: make([]token, 0, n+64)}
	for i := range d.heads {
		d.heads[i], d.prevs[i] = table(size), make([]int32, 0, n+64)
	}
	d.names.heads, d.names.prevs = table(size), make([]int32, 0, n+64)
	return d
}

func table(size int) []int32 {
	t := make([]int32, size)
	for i := range t {
		t[i] = -1
	}
	return t
}

// contextHash hashes the tokens before place p for order o. ok is false if there are too few.
func (d *Doc) contextHash(o order, p int) (h uint32, ok bool) {
	if p < o.n {
		return 0, false
	}
	h = uint32(o.n) * 0x9e3779b1
	for _, t := range d.toks[p-o.n : p] {
		v := t.hash
		if o.shape {
			v = t.shape
		}
		h = (h ^ v) * 0x01000193
		h ^= h >> 15
	}
	return h, true
}

// push adds a token whose text is already at the end of d.text, and indexes its place.
func (d *Doc) push(t token) {
	p := len(d.toks)
	d.toks = append(d.toks, t)
	for i, o := range orders {
		prev := int32(-1)
		if h, ok := d.contextHash(o, p); ok && t.kind != kindBarrier {
			slot := h & d.mask
			prev = d.heads[i][slot]
			d.heads[i][slot] = int32(p)
		}
		d.prevs[i] = append(d.prevs[i], prev)
	}
	prev := int32(-1)
	if t.kind == kindWord {
		slot := t.bare() & d.mask
		prev = d.names.heads[slot]
		d.names.heads[slot] = int32(p)
	}
	d.names.prevs = append(d.names.prevs, prev)
}

// add appends the first token of b, and returns its length. b must not be empty.
func (d *Doc) add(b []byte) int {
	t := lex(b)
	t.off = uint32(len(d.text))
	d.quotes(&t, b)
	d.text = append(d.text, b[:t.size]...)
	d.push(t)
	return int(t.size)
}

// quotes distinguishes a quote that ends a string from one that begins one. A string ends with its line at the latest.
func (d *Doc) quotes(t *token, b []byte) {
	c := b[min(int(t.sp), len(b)-1)]
	switch {
	case t.kind == kindLine:
		d.quote = 0
	case t.kind != kindPunct || c != '"' && c != '\'':
	case d.quote == c:
		if n := len(d.text); t.sp > 0 || n == 0 || d.text[n-1] != '\\' {
			d.quote = 0
			t.hash, t.shape = t.hash+1, t.shape+1
		}
	case d.quote == 0 && (c == '"' || t.sp > 0 || len(d.toks) == 0 || d.toks[len(d.toks)-1].kind == kindPunct):
		d.quote = c
	}
}

// addText appends text, and then a barrier if barrier is set. It stops when ctx ends.
func (d *Doc) addText(ctx context.Context, text []byte, barrier bool) error {
	for n := 0; len(text) > 0; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text = text[d.add(text):]
	}
	if barrier {
		d.quote = 0
		n := uint32(len(d.toks))
		d.push(token{kind: kindBarrier, off: uint32(len(d.text)), hash: n, shape: n})
	}
	return nil
}

// core returns the text of token p without its spaces. The caller must not modify it.
func (d *Doc) core(p int) []byte {
	t := d.toks[p]
	return d.text[t.off+uint32(t.sp) : t.off+uint32(t.size)]
}
