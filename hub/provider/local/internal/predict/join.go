package predict

import "strings"

// joiner prevents a completion from repeating the text after the cursor.
type joiner struct {
	before string // the cursor's line, up to the cursor
	rest   string // rest of the cursor's line, without white space around it
	next   string // the first following line that is not blank, with its indentation
	body   bool   // next follows immediately and is indented deeper: the body of the cursor's line exists already
}

func newJoiner(prefix, suffix string) joiner {
	var j joiner
	j.before = prefix[strings.LastIndexByte(prefix, '\n')+1:]
	rest, after, _ := strings.Cut(suffix, "\n")
	j.rest = strings.TrimSpace(rest)
	for first := true; after != ""; first = false {
		var line string
		line, after, _ = strings.Cut(after, "\n")
		if strings.TrimSpace(line) != "" {
			j.next = strings.TrimRight(line, " \t\r")
			j.body = first && strings.TrimSpace(j.before) != "" && width(j.next) > width(j.before)
			break
		}
	}
	return j
}

// cut removes the end of a generated line that repeats the text after the cursor. first means that it is the rest of
// the cursor's line, open that it is incomplete because nothing more was predicted. last means that no line may
// follow.
func (j *joiner) cut(line []string, first, open bool) (out []string, last bool) {
	if first && j.rest != "" {
		return j.cutRest(line, open), true
	}
	if j.next == "" || len(line) == 0 {
		return line, first && j.body
	}
	text := strings.TrimLeft(strings.Join(line, ""), "\r\n")
	if first {
		text = j.before + text
	} else {
		text = string(afterNewline([]byte(strings.Join(leading(line), "")))) + strings.TrimLeft(text, " \t\r\n")
	}
	if strings.TrimSpace(text) == "" {
		return line, j.body
	}
	if text == j.next || open && strings.HasPrefix(j.next, text) {
		return nil, true
	}
	if body := strings.TrimSpace(text); len(body) > 5 && body == strings.TrimSpace(j.next) {
		return nil, true
	}
	return line, j.body
}

func width(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// leading returns the white-space tokens at the beginning of a line.
func leading(line []string) []string {
	i := 0
	for i < len(line) && strings.TrimSpace(line[i]) == "" {
		i++
	}
	return line[:i]
}

// cutRest cuts the line where it begins to repeat the text after the cursor, or would close a bracket that is closed
// there.
func (j *joiner) cutRest(line []string, open bool) []string {
	text := strings.Join(line, "")
	at, open2 := 0, 0
	closing := -1
	for i, t := range line {
		tail := strings.TrimSpace(text[at:])
		if tail == j.rest || open && tail != "" && strings.HasPrefix(j.rest, tail) {
			return line[:i]
		}
		if open2 += depth(t); open2 < 0 && closing < 0 && strings.HasPrefix(j.rest, strings.TrimSpace(t)) {
			closing = i
		}
		at += len(t)
	}
	if closing >= 0 {
		return line[:closing]
	}
	return line
}
