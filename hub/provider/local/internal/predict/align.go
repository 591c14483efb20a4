package predict

// pair is one step of an alignment with a name or number on each side: a there, b here. They may be equal.
type pair struct {
	at   int // place of a
	a, b []byte
	kind kind
	seen int // how often the alignment contains it
}

// alignment says how similar the contexts of two places are, and which names and numbers correspond.
type alignment struct {
	lit    int // equal tokens before both places, up to the first difference
	shape  int // tokens of equal shape before both places, up to the first difference of shapes
	same   int // equal words and numbers among those of equal shape
	diff   int // different words and numbers among those of equal shape
	far    int // equal tokens in earlier lines, after shapes differed within a line
	broken int // number of differences of shape
	clash  int // names that correspond to one name nearby and to another further up
	rows   int // line ends among the tokens of equal shape
	firm   int // how often a substitution was confirmed
	pairs  []pair
}

// align walks back from place p of src and place n of cur in parallel. It reuses pairs for the result.
func align(src *Doc, p int, cur *Doc, n int, pairs []pair) alignment {
	al := alignment{pairs: pairs[:0]}
	differed := false
	for i, j, steps := p-1, n-1, 0; i >= 0 && j >= 0 && steps < maxAlign; steps++ {
		a, b := src.toks[i], cur.toks[j]
		if a.kind == kindBarrier || b.kind == kindBarrier {
			break
		}
		if a.shape != b.shape {
			if al.broken++; al.broken > 3 {
				break
			}
			differed = true
			i, j = src.lineStart(i), cur.lineStart(j)
			if i < 0 || j < 0 {
				break
			}
			i, j = i-1, j-1
			continue
		}
		differed = al.step(src, i, cur, j, differed)
		i, j = i-1, j-1
	}
	return al
}

// step adds two tokens of the same shape. It returns whether anything has differed so far.
func (al *alignment) step(src *Doc, i int, cur *Doc, j int, differed bool) bool {
	a, b := &src.toks[i], &cur.toks[j]
	equal := a.hash == b.hash
	if al.broken == 0 {
		al.shape++
		if a.kind == kindLine {
			al.rows++
		}
	} else if equal {
		al.far++
	}
	if equal && !differed {
		al.lit++
	}
	if a.kind != kindWord && a.kind != kindNumber {
		return differed || !equal && a.kind != kindLine
	}
	if al.broken == 0 {
		if equal {
			al.same++
		} else {
			al.diff++
		}
	}
	al.note(pair{at: i, a: src.core(i), b: cur.core(j), kind: a.kind})
	return differed || !equal
}

// note adds a pair, unless a nearer one for the same name contradicts it. Numbers are always added.
func (al *alignment) note(pr pair) {
	if pr.kind == kindWord {
		for i := range al.pairs {
			old := &al.pairs[i]
			if string(old.a) != string(pr.a) {
				continue
			}
			if string(old.b) != string(pr.b) {
				al.clash++
			} else if old.seen++; string(old.a) != string(old.b) {
				al.firm++
			}
			return
		}
	}
	if pr.seen = 1; len(al.pairs) < maxPairs {
		al.pairs = append(al.pairs, pr)
	}
}

// lineStart returns the place of the line token at or before p, or -1 if there is none within the limit.
func (d *Doc) lineStart(p int) int {
	for i, steps := p, 0; i >= 0 && steps < maxAlign*2; i, steps = i-1, steps+1 {
		switch d.toks[i].kind {
		case kindLine:
			return i
		case kindBarrier:
			return -1
		}
	}
	return -1
}

// indent returns the indentation of the line of place p.
func (d *Doc) indent(p int) []byte {
	i := d.lineStart(p - 1)
	if i < 0 {
		return nil
	}
	return afterNewline(d.text[d.toks[i].off : d.toks[i].off+uint32(d.toks[i].size)])
}

func afterNewline(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			return b[i+1:]
		}
	}
	return b
}
