package fim

import (
	"cmp"
	"slices"
	"strings"
)

// marks is a set of texts to search for, by their first byte. Where several begin at one place, the longest is found.
type marks [256][]string

func newMarks(list []string) *marks {
	m := &marks{}
	for _, s := range list {
		m[s[0]] = append(m[s[0]], s)
	}
	for _, group := range m {
		slices.SortFunc(group, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return m
}

// at returns the mark with which a text begins, or "".
func (m *marks) at(text string) string {
	if text != "" {
		for _, s := range m[text[0]] {
			if strings.HasPrefix(text, s) {
				return s
			}
		}
	}
	return ""
}

// next returns the place of the first mark from an index on, or ok false.
func (m *marks) next(text string, from int) (start, end int, ok bool) {
	for i := from; i < len(text); i++ {
		if len(m[text[i]]) > 0 {
			if s := m.at(text[i:]); s != "" {
				return i, i + len(s), true
			}
		}
	}
	return 0, 0, false
}

// all returns the places of all marks. They do not overlap.
func (m *marks) all(text string) (places [][2]int) {
	for start, end, ok := m.next(text, 0); ok; start, end, ok = m.next(text, end) {
		places = append(places, [2]int{start, end})
	}
	return places
}

// remove returns a text without its marks.
func (m *marks) remove(text string) string {
	var b strings.Builder
	from := 0
	for _, p := range m.all(text) {
		b.WriteString(text[from:p[0]])
		from = p[1]
	}
	b.WriteString(text[from:])
	return b.String()
}
