package predict

// place is a position in a Doc whose context resembles the cursor's.
type place struct {
	doc *Doc
	p   int32
}

// candidates collects the places whose context matches the end of cur: the longest matches first, and among equals the
// newest first.
func candidates(cur *Doc, others []*Doc, out []place) []place {
	out = out[:0]
	n := len(cur.toks)
	for i, o := range orders {
		h, ok := cur.contextHash(o, n)
		if !ok {
			continue
		}
		out = cur.chain(i, h, out)
		for _, d := range others {
			out = d.chain(i, h, out)
		}
		if len(out) >= maxCands {
			return out[:maxCands]
		}
	}
	return out
}

// chain adds the newest places in d whose context of order i has the hash h, without duplicates.
func (d *Doc) chain(i int, h uint32, out []place) []place {
	for p, left := d.heads[i][h&d.mask], maxChain; p >= 0 && left > 0; p, left = d.prevs[i][p], left-1 {
		if !contains(out, d, p) {
			out = append(out, place{d, p})
		}
	}
	return out
}

func contains(list []place, d *Doc, p int32) bool {
	for _, c := range list {
		if c.p == p && c.doc == d {
			return true
		}
	}
	return false
}
