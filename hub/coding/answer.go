package coding

import (
	"strings"
)

// Answer is a model's answer to a request for code.
type Answer struct{ Code, Explanation string }

// ReadAnswer parses an answer: the first fenced block is the code, also if the answer breaks off inside it, and all
// other text is the explanation. An answer without a fence is all code.
func ReadAnswer(text string) Answer {
	var before, code, rest strings.Builder
	fence := ""
	in := &before
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case in == &before && strings.HasPrefix(trimmed, "```"):
			fence = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
			in = &code
		case in == &code && trimmed == fence:
			in = &rest
		default:
			in.WriteString(line)
		}
	}
	if fence == "" {
		return Answer{Code: text}
	}
	return Answer{Code: code.String(), Explanation: strings.TrimSpace(before.String() + rest.String())}
}
