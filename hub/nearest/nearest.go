// Package nearest finds the most similar name to a misspelt one.
package nearest

import (
	"iter"
	"strings"
	"unicode"
)

// Name returns the name that is most similar to unknown, or "" if more than half of unknown would have to change.
func Name(unknown string, names iter.Seq[string]) string {
	return Within(unknown, names, len(unknown)/2)
}

// Within returns the name that is most similar to unknown, or "" if each needs more than most changes.
func Within(unknown string, names iter.Seq[string], most int) string {
	best, at := "", most+1
	for name := range names {
		if d := Distance(unknown, name); d < at {
			best, at = name, d
		}
	}
	return best
}

// Typo returns the name that unknown is probably a misspelling of, or "". Of names that are equally similar it returns
// the first in alphabetical order. Case and the separators _ - . : ~ do not count. Beyond that, names of up to 7 letters
// and digits may differ in one change (see Distance), of up to 11 in two, and longer ones in three.
func Typo(unknown string, names iter.Seq[string]) string {
	best, fewest := "", 0
	for name := range names {
		most := changes(len(plain(name)))
		if len(unknown) > 2*(len(name)+most) { // far too long: not worth the time
			continue
		}
		if d := Distance(plain(unknown), plain(name)); d <= most && (best == "" || d < fewest || d == fewest && name < best) {
			best, fewest = name, d
		}
	}
	return best
}

// changes returns in how many changes a misspelling of a name of n letters may differ from it.
func changes(n int) int {
	switch {
	case n <= 7:
		return 1
	case n <= 11:
		return 2
	}
	return 3
}

// plain returns a name in lower case without separators.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-.:~", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// Distance returns the number of insertions, deletions, substitutions and transpositions of adjacent bytes that turn a
// into b (optimal string alignment).
func Distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			replace := prev[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
