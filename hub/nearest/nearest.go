// Package nearest finds the most similar name to a misspelt one.
package nearest

import "iter"

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
