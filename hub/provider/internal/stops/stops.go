// Package stops finds stop strings in a text that comes in pieces.
package stops

import (
	"slices"
	"strings"
)

// Set is a set of stop strings: sorted, none empty, and none the beginning of another. A text therefore begins with
// at most one of them, which is the last one that is not greater than the text. This makes the cost of a search
// nearly independent of their number, which clients choose.
type Set []string

// New returns the set of all strings of the lists, without empty ones, which would match everywhere, and those that
// another one makes redundant.
func New(lists ...[]string) Set {
	var all, out Set
	for _, list := range lists {
		for _, s := range list {
			if s != "" {
				all = append(all, strings.ToValidUTF8(s, "\uFFFD"))
			}
		}
	}
	slices.Sort(all)
	for _, s := range all {
		if len(out) == 0 || !strings.HasPrefix(s, out[len(out)-1]) {
			out = append(out, s)
		}
	}
	return out
}

// Find returns the index of the first stop string in text, and true. If there is none it returns the index from which
// on the text may be the beginning of one, and false: the text's length if it cannot.
func (s Set) Find(text string) (at int, whole bool) {
	begun := len(text)
	for i := range len(text) {
		rest := text[i:]
		next, found := slices.BinarySearch(s, rest)
		if found || next > 0 && strings.HasPrefix(rest, s[next-1]) {
			return i, true
		}
		if begun == len(text) && next < len(s) && strings.HasPrefix(s[next], rest) {
			begun = i
		}
	}
	return begun, false
}
