package predict

import (
	"bytes"
	"strconv"
)

// op is the origin of a proposal. Origins differ in reliability.
type op uint8

const (
	opKeyword  op = iota // a keyword
	opCopy               // punctuation or a line's end, copied
	opAnchored           // a name that both contexts contain
	opFree               // a name that only the other place contains; copied
	opMapped             // a name with a known substitute
	opPiece              // a name with one part substituted: getFoo, where foo is bar here
	opCount              // a number, or a numbered name, that continues a sequence
	opSure               // the same, for a sequence of several steps
	opConst              // a number that is equal in all rows
	opNumber             // a number, copied
	opWord               // the rest of a half-typed word, from the vocabulary
	opList               // the next element of a list that exists elsewhere
	ops
)

// analogy adapts the token at place p of src to place n of cur. ok is false if that is impossible. The result has no
// leading spaces, except that a line token is whole. seen counts the evidence for the substitution.
func analogy(src *Doc, p int, cur *Doc, n int, al *alignment) (core []byte, how op, seen int, ok bool) {
	w := src.core(p)
	switch src.toks[p].kind {
	case kindLine:
		core, ok = reindent(w, src.indent(p), cur.indent(n))
		return core, opCopy, 0, ok
	case kindWord:
		core, how, seen = mapWord(w, al.pairs)
		return core, how, seen, true
	case kindNumber:
		core, how, seen = mapNumber(src, p, cur, n, al.pairs)
		return core, how, seen, true
	case kindPunct:
		return w, opCopy, 0, true
	case kindKeyword:
		return w, opKeyword, 0, true
	}
	return nil, 0, 0, false
}

// reindent changes a line token from the indentation from to the indentation to.
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

// mapWord applies an alignment's substitutions to the name w. seen is how often the alignment contains the one that
// was applied.
func mapWord(w []byte, pairs []pair) (core []byte, how op, seen int) {
	for _, pr := range pairs {
		if pr.kind == kindWord && bytes.Equal(pr.a, w) {
			if bytes.Equal(pr.a, pr.b) {
				return w, opAnchored, pr.seen
			}
			return pr.b, opMapped, pr.seen
		}
	}
	if v, steps := countWord(w, pairs); steps > 0 {
		return v, counted(steps), steps
	}
	for _, pr := range pairs {
		if pr.kind == kindWord && !bytes.Equal(pr.a, pr.b) {
			if v, ok := mapPiece(w, pr.a, pr.b); ok {
				return v, opPiece, support(pairs, pr)
			}
		}
	}
	return w, opFree, 0
}

// support counts the pairs that differ in the same part as by does.
func support(pairs []pair, by pair) (seen int) {
	for _, pr := range pairs {
		if v, ok := mapPiece(pr.a, by.a, by.b); ok && bytes.Equal(v, pr.b) {
			seen += pr.seen
		}
	}
	return seen
}

// countWord continues numbered names: w = Foo2, where Foo2 corresponds to Foo1, gives Foo3; w = foo2, where 3
// corresponds to 2, gives foo3. steps is the number of pairs that agree; 0 means that there is no sequence.
func countWord(w []byte, pairs []pair) (v []byte, steps int) {
	stem, digits := splitNumber(w)
	if len(digits) == 0 || len(stem) == 0 {
		return nil, 0
	}
	var delta int64
	for _, pr := range pairs {
		sa, da := splitNumber(pr.a)
		sb, db := splitNumber(pr.b)
		named := pr.kind == kindWord && bytes.Equal(sa, stem) && bytes.Equal(sb, stem)
		if !named && (pr.kind != kindNumber || !bytes.Equal(pr.a, digits)) {
			continue
		}
		d, ok := difference(da, db)
		switch {
		case !ok:
		case steps == 0 && d != 0:
			delta, steps = d, 1
		case steps > 0 && d == delta:
			steps++
		}
	}
	if steps == 0 {
		return nil, 0
	}
	n, ok := addTo(digits, delta)
	if !ok {
		return nil, 0
	}
	return append(append([]byte(nil), stem...), n...), steps
}

// mapNumber continues the sequence in the column of p if there is one, and copies the number otherwise.
func mapNumber(src *Doc, p int, cur *Doc, n int, pairs []pair) (core []byte, how op, seen int) {
	w := src.core(p)
	delta, steps := columnDelta(src, p, cur, n)
	if steps == 0 {
		delta, steps = pairsDelta(src, p, pairs)
	}
	if v, ok := addTo(w, delta); ok && delta != 0 && steps > 1 {
		return v, opSure, steps
	}
	for _, pr := range pairs {
		if pr.kind == kindNumber && bytes.Equal(pr.a, w) {
			if bytes.Equal(pr.a, pr.b) {
				break
			}
			return pr.b, opMapped, pr.seen
		}
	}
	if v, ok := addTo(w, delta); ok && delta != 0 && steps > 0 {
		return v, opCount, steps
	}
	if steps > 0 {
		return w, opConst, steps
	}
	return w, opNumber, 0
}

func counted(steps int) op {
	if steps > 1 {
		return opSure
	}
	return opCount
}

// columnDelta returns the step of a sequence of numbers in one column of rows of equal length: the numbers at equal
// distances before p, that of p before n.
func columnDelta(src *Doc, p int, cur *Doc, n int) (delta int64, steps int) {
	lag := n - p
	if src != cur {
		return 0, 0
	}
	for q := p; q-lag > 0 && steps < 3; q -= lag {
		if src.toks[q-lag].kind != kindNumber || !sameBefore(src, q, q-lag) {
			break
		}
		d, ok := difference(src.core(q-lag), src.core(q))
		if !ok || steps > 0 && d != delta {
			break
		}
		delta, steps = d, steps+1
	}
	return delta, steps
}

// pairsDelta returns the step of the sequence of an alignment's numbers in the same column.
func pairsDelta(src *Doc, p int, pairs []pair) (delta int64, steps int) {
	for _, pr := range pairs {
		if pr.kind != kindNumber || !sameBefore(src, p, pr.at) {
			continue
		}
		d, ok := difference(pr.a, pr.b)
		if !ok || steps > 0 && d != delta {
			break
		}
		delta, steps = d, steps+1
	}
	return delta, steps
}

func sameBefore(d *Doc, p, q int) bool {
	return p > 0 && q > 0 && d.toks[p-1].shape == d.toks[q-1].shape
}

func splitNumber(w []byte) (stem, digits []byte) {
	i := len(w)
	for i > 0 && w[i-1] >= '0' && w[i-1] <= '9' {
		i--
	}
	return w[:i], w[i:]
}

// difference returns b - a. ok is false unless both are decimal numbers of up to 18 digits.
func difference(a, b []byte) (d int64, ok bool) {
	x, e1 := strconv.ParseInt(string(a), 10, 64)
	y, e2 := strconv.ParseInt(string(b), 10, 64)
	return y - x, e1 == nil && e2 == nil && max(len(a), len(b)) <= 18
}

// addTo returns w + d, with the width of w if w has leading zeros. ok is false if the result is negative, or w is too
// long.
func addTo(w []byte, d int64) ([]byte, bool) {
	x, err := strconv.ParseInt(string(w), 10, 64)
	if err != nil || len(w) > 18 || x+d < 0 {
		return nil, false
	}
	out := strconv.AppendInt(nil, x+d, 10)
	if w[0] == '0' && len(w) > len(out) {
		out = append(bytes.Repeat([]byte("0"), len(w)-len(out)), out...)
	}
	return out, true
}
