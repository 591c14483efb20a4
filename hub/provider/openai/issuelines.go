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

// Bounds of what a model may write as one object.
const (
	maxObject    = 64 << 10 // on one line
	maxOpen      = 16 << 10 // over several
	maxOpenLines = 60
	maxSample    = 200
)

// issueScanner finds JSON objects in a model's answer as it comes: one a line, as it was asked for; but also with fences, lists and prose
// around them, over several lines, or in one array or object around all. It counts the lines that it could make nothing of.
type issueScanner struct {
	line     strings.Builder // the beginning of a line whose end has not come
	open     []string        // the lines of an object that is not whole yet
	size     int             // of open
	unparsed int
	sample   string // the first line that was not understood
}

// object is one JSON object of an answer, and its text.
type object struct {
	members map[string]any
	text    string
}

// add takes a piece of the answer and returns the objects that are whole now.
func (s *issueScanner) add(text string) (found []object) {
	for text != "" {
		line, rest, whole := strings.Cut(text, "\n")
		s.line.WriteString(line[:min(len(line), maxObject-s.line.Len())]) // an endless line is no object: its beginning will do
		text = rest
		if !whole {
			break
		}
		found = append(found, s.take(s.line.String())...)
		s.line.Reset()
	}
	return found
}

// finish takes what is left at the end of an answer.
func (s *issueScanner) finish() []object {
	found := s.take(s.line.String())
	s.line.Reset()
	s.giveUp()
	return found
}

// take reads one whole line.
func (s *issueScanner) take(line string) []object {
	line = strings.TrimSpace(line)
	if isFrame(line) && len(s.open) == 0 && !strings.HasPrefix(line, "{") {
		return nil
	}
	begin := strings.IndexByte(line, '{')
	if begin == 0 || begin > 0 && len(s.open) == 0 {
		found, state := decodeObjects(line[begin:])
		if state == objectsWhole && (len(s.open) == 0 || found[0].isIssue()) { // else it is a member of the one that is open
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

// continueObject adds a line to the object that is not whole yet.
func (s *issueScanner) continueObject(line string) []object {
	s.open = append(s.open, line)
	s.size += len(line)
	text := strings.Join(s.open, "\n")
	found, state := decodeObjects(text)
	if state == objectsCut && strings.HasSuffix(line, "[") { // of a list of issues, it may be: then each of them stands for itself
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

// giveUp counts the lines of an object that never became whole. The frame around a list of issues is none of them.
func (s *issueScanner) giveUp() {
	for i, line := range s.open {
		if !isFrame(line) && (i > 0 || !strings.HasSuffix(line, "[")) {
			s.reject(line)
		}
	}
	s.open, s.size = nil, 0
}

// reject counts a line that was not understood.
func (s *issueScanner) reject(line string) {
	s.unparsed++
	if s.sample == "" {
		s.sample = line
		if len(line) > maxSample {
			s.sample = strings.ToValidUTF8(line[:maxSample], "") + "…"
		}
	}
}

// isFrame reports whether a line only frames issues: nothing, brackets, or a fence with or without a language.
func isFrame(line string) bool {
	return strings.Trim(line, "[]{}, \t") == "" || strings.HasPrefix(line, "```") && !strings.ContainsAny(line, "{}")
}

// isMarker reports whether what stands before an object on its line is nothing, or the mark of a list.
func isMarker(s string) bool { return strings.Trim(s, "[-*. \t0123456789`") == "" }

type objectsState int

const (
	objectsNone  objectsState = iota // it is no JSON
	objectsCut                       // it may become whole with the next line
	objectsWhole                     // there is one, or more
)

// decodeObjects reads the objects at the beginning of text. What stands behind them, such as a comma or a remark, is passed over.
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

// unwrap returns the objects of a list inside an object that has nothing of an issue itself, such as {"issues":[…]}; else the object.
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
		all := []object{{members: map[string]any{"done": true}}} // the list is whole, if it is empty, too
		for _, v := range list {
			inner, _ := v.(map[string]any)
			all = append(all, object{inner, text})
		}
		return all
	}
	return []object{o}
}

// done reports whether the object says that there is nothing more.
func (o object) done() bool { return o.members["done"] == true && !o.isIssue() }

func (o object) isIssue() bool { return o.str("message", "description") != "" }

// issue reads an issue, whatever it leaves out.
func (o object) issue() hub.Issue {
	return hub.Issue{
		Type: o.str("type"), Category: o.str("category"), Message: o.str("message", "description"), File: o.str("file", "path", "filename"),
		Line: o.num("line", "start_line", "line_number"), Column: o.num("column", "col", "start_column"), EndLine: o.num("end_line"), EndColumn: o.num("end_column"),
		Severity: hub.Severity(o.str("severity", "level")), Rule: o.str("rule", "code", "id"),
	}
}

// str returns the first of the members that is a text.
func (o object) str(names ...string) string {
	for _, name := range names {
		if s, _ := o.members[name].(string); strings.TrimSpace(s) != "" && utf8.ValidString(s) {
			return s
		}
	}
	return ""
}

// num returns the first of the members that is a number, or a text that begins with one; 0 without.
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
