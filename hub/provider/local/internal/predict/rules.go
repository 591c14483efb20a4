package predict

import "strings"

// rules end a completion where the block or paragraph that the cursor is in ends.
type rules struct {
	indent int // width of the cursor line's indentation, in bytes
	lines  int // lines seen so far
	depth  int // open brackets since the cursor
	base   int // depth at the end of the cursor's line
	last   string
	closed bool
}

func newRules(indent []byte) rules { return rules{indent: len(indent)} }

// allow reports whether a generated line may be said. An empty line is allowed.
func (r *rules) allow(line []string) bool {
	text := strings.Join(line, "")
	body := strings.TrimLeft(text, " \t\r\n")
	if r.lines > 0 {
		if text == r.last {
			return false
		}
		space := text[:len(text)-len(body)]
		closes := body != "" && strings.ContainsRune(")]}", rune(body[0])) || strings.HasPrefix(body, "end")
		if r.depth <= r.base && r.said() && strings.Count(space, "\n") > 1 {
			return false
		}
		if len(afterNewline([]byte(space))) < r.indent && !closes {
			return false
		}
	}
	r.last = text
	for _, t := range line {
		r.depth += depth(t)
	}
	if r.lines == 0 {
		r.base = r.depth
	} else if r.depth < r.base {
		r.closed = true
	}
	r.lines++
	return true
}

// said reports whether a whole line was said already.
func (r *rules) said() bool { return r.lines > 1 || strings.TrimSpace(r.last) != "" }

// over reports whether the line that was allowed last is the last one.
func (r *rules) over() bool { return r.closed || r.lines >= maxLines }

// depth counts the brackets that a token opens, less those that it closes.
func depth(tok string) int {
	switch strings.TrimLeft(tok, " \t") {
	case "(", "[", "{":
		return 1
	case ")", "]", "}":
		return -1
	}
	return 0
}
