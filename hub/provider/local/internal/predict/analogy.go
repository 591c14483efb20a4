package predict

import (
	"bytes"
	"strconv"
)

// op is how a proposal came about; how much it is to be trusted differs.
type op uint8

const (
	opCopy     op = iota // punctuation, a keyword or a line's end, as it stood there
	opAnchored           // a name that stood in both pasts
	opFree               // a name that only the other place has shown; copied
	opMapped             // a name for which this place has had another
	opPiece              // a name of which a part was replaced: getFoo, where foo is bar here
	opCount              // a number that goes on counting
	opNumber             // a number, copied
	opWord               // the rest of a half-typed word, from the vocabulary
	opList               // the next of a list of names that is written elsewhere
	ops
)

// analogy returns what stands at place p of src, put into the terms of place n of cur. ok is false where that cannot be done.
// The bytes are without leading spaces, except that a line token is whole.
func analogy(src *Doc, p int, cur *Doc, n int, al *alignment) (core []byte, how op, ok bool) {
	w := src.core(p)
	switch src.toks[p].kind {
	case kindLine:
		core, ok = reindent(w, src.indent(p), cur.indent(n))
		return core, opCopy, ok
	case kindWord:
		core, how = mapWord(w, al.pairs)
		return core, how, true
	case kindNumber:
		core, how = mapNumber(src, p, cur, n, al.pairs)
		return core, how, true
	case kindPunct, kindKeyword:
		return w, opCopy, true
	}
	return nil, 0, false
}

// reindent moves a line's end from a place indented by from to one indented by to.
func reindent(line, from, to []byte) ([]byte, bool) {
	if bytes.Equal(from, to) {
		return line, true
	}
	next := afterNewline(line)
	head := line[:len(line)-len(next)]
	var indent []byte
	switch {
	case bytes.HasPrefix(next, from):
		indent = append(append(indent, to...), next[len(from):]...)
	case bytes.HasPrefix(from, next) && bytes.HasSuffix(to, from[len(next):]):
		indent = append(indent, to[:len(to)-len(from)+len(next)]...)
	default:
		return nil, false
	}
	return append(append([]byte(nil), head...), indent...), true
}

// mapWord applies an alignment's substitutions to the name w.
func mapWord(w []byte, pairs []pair) ([]byte, op) {
	for _, pr := range pairs {
		if pr.kind == kindWord && bytes.Equal(pr.a, w) {
			if bytes.Equal(pr.a, pr.b) {
				return w, opAnchored
			}
			return pr.b, opMapped
		}
	}
	for _, pr := range pairs {
		if pr.kind != kindWord || bytes.Equal(pr.a, pr.b) {
			continue
		}
		if v, ok := countOn(w, pr.a, pr.b); ok {
			return v, opCount
		}
		if v, ok := mapPiece(w, pr.a, pr.b); ok {
			return v, opPiece
		}
	}
	return w, opFree
}

// mapNumber goes on counting where the column of p has been counting, and copies the number otherwise.
func mapNumber(src *Doc, p int, cur *Doc, n int, pairs []pair) ([]byte, op) {
	w := src.core(p)
	if lag := n - p; src == cur && p >= lag && src.toks[p-lag].kind == kindNumber && sameBefore(src, p, p-lag) {
		if v, ok := addDelta(w, src.core(p-lag), w); ok {
			return v, opCount
		}
		return w, opNumber
	}
	for _, pr := range pairs {
		if pr.kind == kindNumber && sameBefore(src, p, pr.at) {
			if v, ok := addDelta(w, pr.a, pr.b); ok {
				return v, opCount
			}
			return w, opNumber
		}
	}
	for _, pr := range pairs {
		if pr.kind == kindNumber && bytes.Equal(pr.a, w) && !bytes.Equal(pr.a, pr.b) {
			return pr.b, opMapped
		}
	}
	return w, opNumber
}

func sameBefore(d *Doc, p, q int) bool {
	return p > 0 && q > 0 && d.toks[p-1].shape == d.toks[q-1].shape
}

// countOn continues numbered names: w = Foo2, a = Foo1, b = Foo2 gives Foo3.
func countOn(w, a, b []byte) ([]byte, bool) {
	stem, digits := splitNumber(w)
	sa, da := splitNumber(a)
	sb, db := splitNumber(b)
	if len(digits) == 0 || len(da) == 0 || len(db) == 0 || !bytes.Equal(sa, sb) || !bytes.Equal(stem, sa) {
		return nil, false
	}
	v, ok := addDelta(digits, da, db)
	if !ok {
		return nil, false
	}
	return append(append([]byte(nil), stem...), v...), true
}

func splitNumber(w []byte) (stem, digits []byte) {
	i := len(w)
	for i > 0 && w[i-1] >= '0' && w[i-1] <= '9' {
		i--
	}
	return w[:i], w[i:]
}

// addDelta returns w + (b - a), as wide as w where that has leading zeros. ok is false where nothing changes or it cannot be computed.
func addDelta(w, a, b []byte) ([]byte, bool) {
	x, e1 := strconv.ParseInt(string(w), 10, 64)
	y, e2 := strconv.ParseInt(string(a), 10, 64)
	z, e3 := strconv.ParseInt(string(b), 10, 64)
	if e1 != nil || e2 != nil || e3 != nil || y == z || x > 1<<60 || z > 1<<60 || y > 1<<60 {
		return nil, false
	}
	sum := x + z - y
	if sum < 0 {
		return nil, false
	}
	out := strconv.AppendInt(nil, sum, 10)
	if w[0] == '0' && len(w) > len(out) {
		out = append(bytes.Repeat([]byte("0"), len(w)-len(out)), out...)
	}
	return out, true
}
