package openai

import "strings"

// suggest returns a hint with the known name nearest to a misspelt one, or with all names if none is near.
func suggest(got string, known []string) string {
	best, least := "", 3
	for _, word := range known {
		if d := editDistance(strings.ToLower(got), word); d < least && d < len(word) {
			best, least = word, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// longestName is the length of the longest name that is compared with others. Longer ones are far from all names.
const longestName = 64

// editDistance returns the Levenshtein distance. For a longer than longestName it returns only a bound.
func editDistance(a, b string) int {
	if max(len(a), len(b)) > longestName {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
