package predict

import "strings"

// rules end a completion at the end of the cursor's block or paragraph.
type rules struct {
	before string
	indent int // width of the cursor line's indentation, in bytes
	lines  int // lines generated so far
	depth  int // open brackets since the cursor
	base   int // depth at the end of the cursor's line
	last   string
	shapes map[uint32]bool // shapes of the generated lines
	listed map[string]bool // generated lines that contain an element of a list
	closed bool
}

// newRules takes the cursor's line up to the cursor, and its indentation.
func newRules(before string, indent []byte) rules {
	return rules{before: before, indent: len(indent), shapes: map[uint32]bool{}, listed: map[string]bool{}}
}

// allow reports whether a generated line is accepted. An empty line is. counts means that it contains a number that
// continues a sequence: that could go on for ever, so it is accepted for one row only. lists means that it contains
// the next element of a list, which is accepted once.
func (r *rules) allow(line []string, counts, lists bool) bool {
	text := strings.Join(line, "")
	body := strings.TrimLeft(text, " \t\r\n")
	if r.lines > 0 {
		if text == r.last || r.listed[strings.TrimSpace(text)] || counts && r.shapes[shapeOf(text)] {
			return false
		}
		space := text[:len(text)-len(body)]
		closes := body != "" && strings.ContainsRune(")]}", rune(body[0])) || strings.HasPrefix(body, "end")
		if r.depth <= r.base && r.hasText() && strings.Count(space, "\n") > 1 {
			return false
		}
		width := len(afterNewline([]byte(space)))
		if r.lines == 1 && r.last == "" {
			r.indent = width
		}
		if width < r.indent && !closes {
			return false
		}
	}
	r.last = text
	if r.lines == 0 {
		text = r.before + text
	}
	r.shapes[shapeOf(text)] = true
	if lists {
		r.listed[strings.TrimSpace(text)] = true
	}
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

// shapeOf hashes the shapes of a line's tokens.
func shapeOf(line string) uint32 {
	h := uint32(2166136261)
	for b := []byte(strings.TrimSpace(line)); len(b) > 0; {
		t := lex(b)
		h = (h ^ t.shape) * 16777619
		b = b[t.size:]
	}
	return h
}

// hasText reports whether a line with text was accepted already.
func (r *rules) hasText() bool { return r.lines > 1 || strings.TrimSpace(r.last) != "" }

// ended reports whether the last accepted line ends the completion.
func (r *rules) ended() bool { return r.closed || r.lines >= maxLines }

// depth returns the brackets that a token opens, minus those that it closes.
func depth(tok string) int {
	switch strings.TrimLeft(tok, " \t") {
	case "(", "[", "{":
		return 1
	case ")", "]", "}":
		return -1
	}
	return 0
}
