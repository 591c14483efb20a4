package predict

import (
	"bytes"
	"slices"
)

// stepper proposes next tokens at the end of cur.
type stepper struct {
	cur    *Doc
	others []*Doc // immutable; may be shared
	warm   float32
	seed   int64

	places    []place // scratch
	pairs     []pair
	groups    []group
	proposals []proposal
	seen      func(f *[fCount]float32, text []byte) // for fitting; nil otherwise
}

// next returns the most probable next token of cur that begins with need, the part that is typed already. ok is false
// if there is no proposal. The result's text includes the typed part.
func (s *stepper) next(need []byte) (best group, ok bool) {
	s.groups, s.proposals = s.groups[:0], s.proposals[:0]
	s.places = candidates(s.cur, s.others, s.places)
	n := len(s.cur.toks)
	var f [fCount]float32
	for _, pl := range s.places {
		al := align(pl.doc, int(pl.p), s.cur, n, s.pairs)
		s.pairs = al.pairs
		core, how, seen, ok := analogy(pl.doc, int(pl.p), s.cur, n, &al)
		if !ok || len(core) == 0 {
			continue
		}
		t := pl.doc.toks[pl.p]
		distance := -1
		if pl.doc == s.cur {
			distance = n - int(pl.p)
		}
		if text := s.spaced(core, pl); fits(text, need, t.kind) {
			describe(&f, &al, how, seen, distance, len(need))
			s.propose(&f, text, t.kind, how, len(need), seen, t.bare())
		}
		if core, seen := s.listed(pl); seen > 0 {
			if text := s.spaced(core, pl); fits(text, need, kindWord) {
				describe(&f, &al, opList, seen, distance, len(need))
				s.propose(&f, text, kindWord, opList, len(need), seen, t.bare())
			}
		}
	}
	if len(need) > 0 {
		s.vocabulary(need)
	}
	s.groupProposals()
	scoreGroups(s.groups, s.warm)
	return s.pick()
}

// proposal is a text for the next token, with its features.
type proposal struct {
	f     [fCount]float32
	text  []byte
	kind  kind
	how   op
	typed int
	seen  int
	from  uint32 // hash of the token that became text
}

func (s *stepper) propose(f *[fCount]float32, text []byte, k kind, how op, typed, seen int, from uint32) {
	s.proposals = append(s.proposals, proposal{*f, text, k, how, typed, seen, from})
}

// groupProposals compares the proposals with each other, and groups them.
func (s *stepper) groupProposals() {
	if next := s.inList(); next != nil {
		s.proposals = slices.DeleteFunc(s.proposals, func(p proposal) bool {
			return p.kind == kindWord && !bytes.Equal(p.text, next)
		})
	}
	var lit, shape float32
	for i := range s.proposals {
		if p := &s.proposals[i]; p.how != opWord {
			lit, shape = max(lit, p.f[fLit]), max(shape, p.f[fShape])
		}
	}
	for i := range s.proposals {
		p := &s.proposals[i]
		if p.how != opWord {
			p.f[fLessLit], p.f[fLessShape] = lit-p.f[fLit], shape-p.f[fShape]
		}
		if s.seen != nil {
			s.seen(&p.f, p.text)
		}
		s.groups = vote(s.groups, p)
	}
}

// inList returns the next name of a list for which there is strong evidence, or nil. Then no other name is proposed.
func (s *stepper) inList() []byte {
	for i := range s.proposals {
		if p := &s.proposals[i]; p.how == opList && p.seen > 1 {
			return p.text
		}
	}
	return nil
}

// pick returns the most probable group; the seed breaks ties.
func (s *stepper) pick() (best group, ok bool) {
	for _, g := range s.groups {
		if !ok || g.prob > best.prob || g.prob == best.prob && tie(g.text, s.seed) > tie(best.text, s.seed) {
			best, ok = g, true
		}
	}
	return best, ok
}

func tie(text string, seed int64) uint32 {
	h := uint32(seed)*0x9e3779b1 + uint32(seed>>32)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}

// spaced prepends the spaces that precede place pl. Several spaces are column alignment, and are computed for the new
// column.
func (s *stepper) spaced(core []byte, pl place) []byte {
	t := pl.doc.toks[pl.p]
	if t.sp == 0 {
		return core
	}
	sp := pl.doc.text[t.off : t.off+uint32(t.sp)]
	if t.sp > 1 && sp[0] == ' ' {
		want := pl.doc.column(int(pl.p)) + int(t.sp) - s.cur.column(len(s.cur.toks))
		sp = bytes.Repeat([]byte(" "), min(max(want, 1), maxSpaces-1))
	}
	return append(append([]byte(nil), sp...), core...)
}

// column returns the number of bytes before place p in its line.
func (d *Doc) column(p int) int {
	i := d.lineStart(p - 1)
	if i < 0 || p == 0 {
		return 0
	}
	end := d.toks[p-1].off + uint32(d.toks[p-1].size)
	return int(end - d.toks[i].off - uint32(d.toks[i].size) + uint32(len(d.indent(p))))
}

// untyped returns the part of a token's text after the typed part need. ok is false if the text does not begin with
// need. Of a line's end only the new indentation has to agree.
func untyped(text, need []byte, k kind) (rest []byte, ok bool) {
	if k == kindLine && bytes.IndexByte(need, '\n') >= 0 {
		text, need = afterNewline(text), afterNewline(need)
	}
	return bytes.CutPrefix(text, need)
}

func fits(text, need []byte, k kind) bool {
	_, ok := untyped(text, need, k)
	return ok
}

// vocabulary proposes names in the texts that begin with need, the recent and frequent ones first.
func (s *stepper) vocabulary(need []byte) {
	core := bytes.TrimLeft(need, " \t")
	if len(core) < 2 || bytes.ContainsAny(core, "\n\r") {
		return
	}
	sp := need[:len(need)-len(core)]
	words := s.cur.words(core)
	total := 0
	for _, w := range words {
		total += w.count
	}
	for i, w := range words {
		if i == 8 {
			return
		}
		var f [fCount]float32
		al := alignment{lit: w.count, shape: w.count * 100 / total}
		describe(&f, &al, opWord, 0, w.distance, len(need))
		s.propose(&f, append(append([]byte(nil), sp...), w.text...), kindWord, opWord, len(need), 0, 0)
	}
}

// word is a name in a text, with how often it occurs, and how far back it occurred last.
type word struct {
	text            string
	count, distance int
}

// words returns the names in the last maxVocab tokens that begin with start and are longer, newest first.
func (d *Doc) words(start []byte) []word {
	var list []word
	at := map[string]int{}
	for p, left := len(d.toks)-1, maxVocab; p >= 0 && left > 0; p, left = p-1, left-1 {
		if d.toks[p].kind != kindWord {
			continue
		}
		w := d.core(p)
		if len(w) < len(start) || !bytes.HasPrefix(w, start) {
			continue
		}
		if i, ok := at[string(w)]; ok {
			list[i].count++
			continue
		}
		at[string(w)] = len(list)
		list = append(list, word{string(w), 1, len(d.toks) - p})
	}
	return list
}
