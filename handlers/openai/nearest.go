package openai

import (
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub/nearest"
)

// maxTypos is how many changes a misspelt name may need.
const maxTypos = 2

// suggest returns a hint with the known name nearest to a misspelt one, or with all names if none is near.
func suggest(got string, known []string) string {
	if best := nearest.Within(strings.ToLower(got[:min(len(got), 32)]), slices.Values(known), maxTypos); best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}
