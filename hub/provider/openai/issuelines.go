package openai

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
)

// Limits of one JSON object in a model's answer.
const (
	maxObject    = 64 << 10 // bytes on one line
	maxOpen      = 16 << 10 // bytes over several lines
	maxOpenLines = 60
	maxSample    = 200
)

// issueScanner finds JSON objects in a model's answer as it arrives. The prompt asks for one a line; the scanner also
// accepts fences, lists and prose around them, objects over several lines, and one array or object around all. It
// counts the lines that it cannot parse.
type issueScanner struct {
	line     strings.Builder // an incomplete line
	open     []string        // the lines of an incomplete object
	size     int             // bytes in open
	unparsed int
	sample   string // the first line that could not be parsed
}

// object is one JSON object of an answer, with its text.
type object struct {
	members map[string]any
	text    string
}

// add processes a piece of the answer, and returns the objects that it completes.
func (s *issueScanner) add(text string) (found []object) {
	for text != "" {
		line, rest, complete := strings.Cut(text, "\n")
		// a longer line cannot be an object, so the rest is dropped
		s.line.WriteString(line[:min(len(line), maxObject-s.line.Len())])
		text = rest
		if !complete {
			break
		}
		found = append(found, s.addLine(s.line.String())...)
		s.line.Reset()
	}
	return found
}

// finish processes the rest at the end of an answer.
func (s *issueScanner) finish() []object {
	found := s.addLine(s.line.String())
	s.line.Reset()
	s.giveUp()
	return found
}

// addLine processes one complete line.
func (s *issueScanner) addLine(line string) []object {
	line = strings.TrimSpace(line)
	if isFrame(line) && len(s.open) == 0 && !strings.HasPrefix(line, "{") {
		return nil
	}
	begin := strings.IndexByte(line, '{')
	if begin == 0 || begin > 0 && len(s.open) == 0 {
		found, state := decodeObjects(line[begin:])
		// With an open object, one that is not an issue is a member of it.
		if state == objectsWhole && (len(s.open) == 0 || found[0].isIssue()) {
			s.giveUp()
			return found
		}
		if state == objectsCut && len(s.open) == 0 && len(found) == 0 && isMarker(line[:begin]) {
			return s.continueObject(line[begin:])
		}
	}
	if len(s.open) == 0 {
		if line != "" {
			s.reject(line)
		}
		return nil
	}
	return s.continueObject(line)
}

// continueObject adds a line to the open object.
func (s *issueScanner) continueObject(line string) []object {
	s.open = append(s.open, line)
	s.size += len(line)
	text := strings.Join(s.open, "\n")
	found, state := decodeObjects(text)
	// may open a list of issues, whose elements are then parsed one by one
	if state == objectsCut && strings.HasSuffix(line, "[") {
		if list, listed := decodeObjects(text + "]}"); listed == objectsWhole && list[0].done() {
			found, state = list, listed
		}
	}
	switch {
	case state == objectsWhole:
		s.open, s.size = nil, 0
		return found
	case state == objectsNone || s.size > maxOpen || len(s.open) > maxOpenLines:
		s.giveUp()
	}
	return nil
}

// giveUp counts the lines of an object that was never completed, without those that only open or close a list of
// issues.
func (s *issueScanner) giveUp() {
	for i, line := range s.open {
		if !isFrame(line) && (i > 0 || !strings.HasSuffix(line, "[")) {
			s.reject(line)
		}
	}
	s.open, s.size = nil, 0
}

// reject counts a line that cannot be parsed.
func (s *issueScanner) reject(line string) {
	s.unparsed++
	if s.sample == "" {
		s.sample = line
		if len(line) > maxSample {
			s.sample = strings.ToValidUTF8(line[:maxSample], "") + "…"
		}
	}
}

// isFrame reports whether a line has nothing but brackets, or a fence with an optional language.
func isFrame(line string) bool {
	return strings.Trim(line, "[]{}, \t") == "" || strings.HasPrefix(line, "```") && !strings.ContainsAny(line, "{}")
}

// isMarker reports whether the text before an object on its line is empty or a list marker.
func isMarker(s string) bool { return strings.Trim(s, "[-*. \t0123456789`") == "" }

type objectsState int

const (
	objectsNone  objectsState = iota // not JSON
	objectsCut                       // may be completed by the next line
	objectsWhole                     // at least one object
)

// decodeObjects parses the objects at the beginning of text, and ignores what follows them, such as a comma or a
// remark.
func decodeObjects(text string) (found []object, state objectsState) {
	for strings.HasPrefix(text, "{") {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var members map[string]any
		if err := dec.Decode(&members); err != nil {
			if len(found) > 0 {
				return found, objectsWhole
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, objectsCut
			}
			return nil, objectsNone
		}
		end := dec.InputOffset()
		found = append(found, unwrap(members, text[:end])...)
		text = strings.TrimLeft(text[end:], ", \t\r\n")
	}
	return found, objectsWhole
}

// unwrap returns the objects of a list within an object that is not an issue itself, such as {"issues":[…]}; otherwise
// the object itself.
func unwrap(members map[string]any, text string) []object {
	o := object{members, text}
	if o.isIssue() {
		return []object{o}
	}
	for _, name := range [...]string{"issues", "findings", "results", "problems"} {
		list, ok := members[name].([]any)
		if !ok {
			continue
		}
		all := []object{{members: map[string]any{"done": true}}} // marks the list as complete, also if it is empty
		for _, v := range list {
			inner, _ := v.(map[string]any)
			all = append(all, object{inner, text})
		}
		return all
	}
	return []object{o}
}

// done reports whether the object marks the end of the list.
func (o object) done() bool { return o.members["done"] == true && !o.isIssue() }

func (o object) isIssue() bool { return o.str("message", "description") != "" }

// issue converts an object to an issue. Missing members stay empty.
func (o object) issue() hub.Issue {
	return hub.Issue{
		Type: o.str("type"), Category: o.str("category"), Message: o.str("message", "description"),
		File: o.str("file", "path", "filename"),
		Line: o.num("line", "start_line", "line_number"), Column: o.num("column", "col", "start_column"),
		EndLine: o.num("end_line"), EndColumn: o.num("end_column"),
		Severity: hub.Severity(o.str("severity", "level")), Rule: o.str("rule", "code", "id"),
	}
}

// str returns the first of the members that is a string.
func (o object) str(names ...string) string {
	for _, name := range names {
		if s, _ := o.members[name].(string); strings.TrimSpace(s) != "" && utf8.ValidString(s) {
			return s
		}
	}
	return ""
}

// num returns the first of the members that is a number, or a string that begins with one; 0 if there is none.
func (o object) num(names ...string) int {
	for _, name := range names {
		switch v := o.members[name].(type) {
		case json.Number:
			if f, err := v.Float64(); err == nil && f >= 0 && f <= math.MaxInt32 {
				return int(f)
			}
		case string: // "12", "12-14"
			digits := v[:len(v)-len(strings.TrimLeft(v, "0123456789"))]
			if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
				return int(n)
			}
		}
	}
	return 0
}
