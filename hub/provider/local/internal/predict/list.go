package predict

// Limits for lists.
const (
	maxLag    = 120 // tokens between two rows of a list that is being written
	maxPlaces = 16  // places searched for another list with the same names
	maxItem   = 40  // tokens between two items of that list
)

// listed continues a list whose names occur in the same order elsewhere. If the rows above have "case Red" and "case
// Green", and Red, Green, Blue are declared in this order, it proposes Blue. pl is the place in the row above. seen is
// how many names of the lists agree, 0 if there is no other list.
func (s *stepper) listed(pl place) (core []byte, seen int) {
	d, p := s.cur, int(pl.p)
	lag := len(d.toks) - p
	if pl.doc != d || lag > maxLag || p-lag < 1 || d.toks[p].kind != kindWord {
		return nil, 0
	}
	if d.toks[p-lag].kind != kindWord || !sameBefore(d, p, p-lag) || d.toks[p-lag].bare() == d.toks[p].bare() {
		return nil, 0
	}
	left := maxPlaces
	for q := d.names.heads[d.toks[p].bare()&d.mask]; q >= 0 && left > 0; q, left = d.names.prevs[q], left-1 {
		if int(q) >= p-lag || d.toks[q].bare() != d.toks[p].bare() {
			continue
		}
		if next, n := d.follow(int(q), p-lag, lag); n > 0 {
			return d.core(next), n
		}
	}
	return nil, 0
}

// follow searches backwards from the name at place q of another list for the name at place before. If it is found, the
// result is the item after q.
func (d *Doc) follow(q, before, lag int) (next, seen int) {
	want := d.toks[before].bare()
	for i, left := q-1, maxItem; i > 0 && left > 0 && d.toks[i].kind != kindBarrier; i, left = i-1, left-1 {
		if d.toks[i].kind != kindWord || d.toks[i].bare() != want || d.toks[i-1].shape != d.toks[q-1].shape {
			continue
		}
		next = d.item(q, q-i)
		if next < 0 || next >= before {
			return 0, 0
		}
		return next, 1 + d.earlier(i, before, lag)
	}
	return 0, 0
}

// item returns the place of the item after the one at q: the first word of the next line if q is the first of its
// line, and otherwise the word at the same distance as the item before.
func (d *Doc) item(q, step int) int {
	if d.toks[q-1].kind != kindLine {
		if q+step < len(d.toks) && d.toks[q+step].kind == kindWord && d.toks[q+step-1].shape == d.toks[q-1].shape {
			return q + step
		}
		return -1
	}
	for i := q + 1; i+1 < len(d.toks) && i < q+maxItem; i++ {
		if d.toks[i].kind == kindLine {
			if d.toks[i+1].kind == kindWord && d.toks[i].shape != shapeBlank {
				return i + 1
			}
			return -1
		}
	}
	return -1
}

// earlier counts how many items before place i agree with those before place before, at most 3.
func (d *Doc) earlier(i, before, lag int) (n int) {
	for n < 3 && before-lag > 0 {
		before -= lag
		j := d.back(i, d.toks[before].bare())
		if j < 0 || d.toks[before].kind != kindWord {
			break
		}
		i, n = j, n+1
	}
	return n
}

// back returns the place of the name with the given hash shortly before place i, or -1.
func (d *Doc) back(i int, want uint32) int {
	for j := i - 1; j > 0 && j >= i-maxItem/2; j-- {
		if d.toks[j].kind == kindWord && d.toks[j].bare() == want && d.toks[j-1].shape == d.toks[i-1].shape {
			return j
		}
	}
	return -1
}
