package coding

import (
	"strings"
)

// Answer is a model's answer to a request for code.
type Answer struct{ Code, Explanation string }

// ReadAnswer takes the first fenced block out of an answer, also where it was cut off inside; without one, all of it is
// code.
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
