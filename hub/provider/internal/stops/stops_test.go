package stops

import (
	"strings"
	"testing"
)

// FuzzStops compares the search with a plain one.
func FuzzStops(f *testing.F) {
	f.Add("a b c", "return x")
	f.Add("<a> <ab> b>", "x <ab")
	f.Add("aa aab ab", "xaaab")
	f.Fuzz(func(t *testing.T, list, text string) {
		all := strings.Split(strings.ToValidUTF8(list, "\uFFFD"), " ")
		wantAt, wantWhole := len(text), false
		for i := range len(text) {
			for _, s := range all {
				if s != "" && strings.HasPrefix(text[i:], s) {
					wantAt, wantWhole = i, true
				}
			}
			if wantWhole {
				break
			}
		}
		for i := 0; i < len(text) && !wantWhole && wantAt == len(text); i++ {
			for _, s := range all {
				if len(s) > len(text)-i && strings.HasPrefix(s, text[i:]) {
					wantAt = i
				}
			}
		}
		if at, whole := New(all).Find(text); at != wantAt || whole != wantWhole {
			t.Errorf("%q in %q: %d, %t; want %d, %t", all, text, at, whole, wantAt, wantWhole)
		}
	})
}
