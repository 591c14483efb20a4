package coding

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Cursor is a position in a text as editors count it: lines from 1, and the number of UTF-16 units before it in the
// line. RubberDuck's documents do not say how they count; this follows their one example client.
type Cursor struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// ReadCursor parses a cursor. Its error names the invalid member under field.
func ReadCursor(field string, raw json.RawMessage) (Cursor, error) {
	if jsonw.IsNull(raw) {
		return Cursor{}, errs.Invalid(field, "is missing")
	}
	var p struct{ Line, Column json.RawMessage }
	if raw[0] != '{' || json.Unmarshal(raw, &p) != nil {
		return Cursor{}, errs.Invalid(field, `must be an object like {"line": 1, "column": 0}`)
	}
	line, err := readCount(field+".line", p.Line, 1)
	if err != nil {
		return Cursor{}, err
	}
	column, err := readCount(field+".column", p.Column, 0)
	return Cursor{line, column}, err
}

func readCount(field string, raw json.RawMessage, least int) (n int, err error) {
	if jsonw.IsNull(raw) {
		return 0, errs.Invalid(field, "is missing")
	}
	if json.Unmarshal(raw, &n) != nil || n < least {
		return 0, errs.Invalid(field, "must be a whole number from %d on", least)
	}
	return n, nil
}

// Split splits a text at the cursor. A cursor beyond the end of its line or of the text counts as that end.
func (c Cursor) Split(text string) (before, after string) {
	at := 0
	for line := 1; line < c.Line; line++ {
		n := strings.IndexByte(text[at:], '\n')
		if n < 0 {
			return text, ""
		}
		at += n + 1
	}
	for units := 0; at < len(text) && text[at] != '\n' && text[at] != '\r'; {
		r, size := utf8.DecodeRuneInString(text[at:])
		if units++; r > 0xFFFF {
			units++
		}
		if units > c.Column {
			break
		}
		at += size
	}
	return text[:at], text[at:]
}
