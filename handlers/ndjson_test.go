package handlers

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
)

// FuzzParseLine: a producer's line is parsed to a part, an ending, nothing, or an error that names the line. A part's
// data is valid JSON on one line, so that it can be copied into any frame.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"text":"a"}`, `{"event":"chunk","text":"a","at":3,"position":"x.1"}`, `{"event":"note","data":[1, 2]}`,
		`{"event":"note","a":1}`,
		`{"event":"end","status":"failed","error":{"code":"x","message":"y"}}`, `{"event":"hb","now":1}`, ``, `7`,
		`{"event":7}`, "{\"text\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		part, ending, err := parseLine(line, 1)
		if err != nil {
			if part != nil || ending != nil || problemOf(err).Status != 400 {
				t.Fatalf("%q: %v with %+v, %+v", line, err, part, ending)
			}
			return
		}
		if part != nil && part.Name != "" {
			if hub.ValidName("event", part.Name) != nil || !json.Valid(part.Data) || !utf8.Valid(part.Data) {
				t.Fatalf("%q gave %+v", line, part)
			}
			for _, c := range part.Data {
				if c == '\n' || c == '\r' {
					t.Fatalf("%q gave data of two lines", line)
				}
			}
		}
		if part != nil && !utf8.ValidString(part.Text) {
			t.Fatalf("%q gave text that is not UTF-8", line)
		}
	})
}
