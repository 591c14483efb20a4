package coding_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/errs"
)

func TestCursorSplits(t *testing.T) {
	for _, tt := range []struct {
		line, column         int
		code, before, behind string
	}{
		{1, 0, "", "", ""},
		{1, 0, "ab\ncd", "", "ab\ncd"},
		{2, 1, "ab\ncd", "ab\nc", "d"},
		{2, 9, "ab\ncd", "ab\ncd", ""},
		{1, 9, "ab\ncd", "ab", "\ncd"}, // beyond the line's end is its end
		{1, 9, "ab\r\ncd", "ab", "\r\ncd"},
		{7, 0, "ab\ncd", "ab\ncd", ""},
		{3, 4, "x\ny\n    ", "x\ny\n    ", ""}, // RubberDuck's example
		{1, 2, "🦆é", "🦆", "é"},                 // UTF-16 units
		{1, 1, "🦆é", "", "🦆é"},                 // never inside a character
	} {
		before, behind := coding.Cursor{Line: tt.line, Column: tt.column}.Split(tt.code)
		if before != tt.before || behind != tt.behind {
			t.Errorf("%q at %d:%d: %q and %q", tt.code, tt.line, tt.column, before, behind)
		}
	}
}

func TestCursorIsChecked(t *testing.T) {
	for raw, field := range map[string]string{
		``: "at", `null`: "at", `7`: "at", `{}`: "at.line", `{"line":0}`: "at.line", `{"line":1}`: "at.column",
		`{"line":1,"column":-1}`: "at.column", `{"line":1.5,"column":0}`: "at.line", `{"line":1,"column":0}`: "",
	} {
		_, err := coding.ReadCursor("at", json.RawMessage(raw))
		if wrong(err) != field {
			t.Errorf("%s: %v, want the field %q", raw, err, field)
		}
	}
}

// wrong is the field that an error names.
func wrong(err error) string {
	var fault *errs.FieldError
	if errors.As(err, &fault) {
		return fault.Field
	}
	return ""
}

func TestLanguageOf(t *testing.T) {
	for _, tt := range []struct{ said, file, want string }{
		{"go", "a.ex", "go"}, {"", "lib/a.EX", "elixir"}, {"", "a.go", "go"}, {"", "Makefile", ""}, {"", "", ""},
	} {
		if got := coding.LanguageOf(tt.said, tt.file); got != tt.want {
			t.Errorf("%q, %q: %q, want %q", tt.said, tt.file, got, tt.want)
		}
	}
}

func TestGenerationPrompt(t *testing.T) {
	if err := (&coding.Generation{}).Check(); wrong(err) != "prompt" {
		t.Errorf("of nothing: %v", err)
	}
	g := coding.Generation{
		Description: "sum two", CurrentFile: "lib/a.py", Style: "terse", PartialCode: "a = '```'\n",
		Imports: []json.RawMessage{json.RawMessage(`"os"`), json.RawMessage(`{"name":"re"}`)},
	}
	if err := g.Check(); err != nil || g.Language != "python" {
		t.Errorf("the language is %s, %v", g.Language, err)
	}
	want := "Write python code. Answer with the code in one fenced block, then a short explanation.\n" +
		"Style: terse\nFile: lib/a.py\nImports:\nos\n{\"name\":\"re\"}\nsum two\n" +
		"Continue this code:\n````python\na = '```'\n````\n"
	if got := g.Prompt(); got != want {
		t.Errorf("the prompt is\n%s\nwant\n%s", got, want)
	}
}

func TestRefactoring(t *testing.T) {
	if err := (&coding.Refactoring{}).Check(); wrong(err) != "code" {
		t.Errorf("of nothing: %v", err)
	}
	r := coding.Refactoring{Code: "a := 1\nb := 2", Language: "go", Type: "rename", PreserveBehavior: new(false)}
	wishes := map[string]json.RawMessage{"inline": json.RawMessage("true"), "depth": json.RawMessage("2"), "no": nil}
	got := r.Prompt(wishes)
	want := "Refactor the code below. Answer with the whole new code in one fenced block, " +
		"then a short explanation of what has changed.\n" +
		"Kind of refactoring: rename\ndepth: 2\ninline: true\n```go\na := 1\nb := 2\n```\n"
	if got != want {
		t.Errorf("the prompt is\n%s\nwant\n%s", got, want)
	}
	if r.PreserveBehavior = nil; !strings.Contains(r.Prompt(nil), "must stay the same") {
		t.Error("behaviour need not be preserved, though nobody said so")
	}
	if a := r.Answer("```\na := 1\n```\n"); a.Code != "a := 1" { // the code had no newline at its end
		t.Errorf("the answer is %q", a.Code)
	}
}

func TestReadAnswer(t *testing.T) {
	for text, want := range map[string]coding.Answer{
		"a := 1\n":                             {Code: "a := 1\n"},
		"Here:\n```go\na\n```\nIt is short.\n": {Code: "a\n", Explanation: "Here:\nIt is short."},
		"```go\na\nb":                          {Code: "a\nb"}, // cut off
		"````\n```\n````\n":                    {Code: "```\n"},
		"```\na\n```\n```\nb\n```\n":           {Code: "a\n", Explanation: "```\nb\n```"},
	} {
		if got := coding.ReadAnswer(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// The changes, applied to the one text, make the other.
func TestChangesMakeTheOtherText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n"}), 0, 6).Draw(t, "lines")
			return strings.Join(lines, "") + rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "rest")
		})
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		got := before
		for _, c := range coding.ChangesOf(before, after) {
			head, _ := c.From.Split(before)
			_, tail := c.To.Split(before)
			got = head + c.Text + tail
		}
		if got != after {
			t.Fatalf("%q with the changes to %q is %q", before, after, got)
		}
	})
}

func TestFindingsAreAddedUp(t *testing.T) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Close()
	s, _, err := h.CreateStream(hub.StreamSpec{Kind: "analysis", Owner: "u", ContentType: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Append(hub.ProducerRef{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Abort()
	if err := a.Add([]hub.Part{
		{Name: "analysis_update", Data: []byte(`{"type":"style","issues":[{"n":0}]}`)},
		{Name: "progress", Data: []byte(`{"total":3}`)},
		{Name: hub.EntryRestarted, Data: []byte(`{}`)}, // issues from before do not count
		{Name: "analysis_update", Data: []byte(`{"type":"style","issues":[{"n":1},{"n":2}]}`)},
		{Name: hub.EntryFileAnalyzed, Data: []byte(`{"file":"a.go","result":{"issues":[{"n":9}]}}`)},
		{Name: hub.EntrySummary, Data: []byte(`{"score":7,"total_issues":5}`)},
	}); err != nil {
		t.Fatal(err)
	}
	f := coding.FindingsOf(s)
	if got := fmt.Sprintf("%s of %d files", f.Issues, f.Files); got != `[{"n":1} {"n":2}] of 3 files` {
		t.Errorf("found: %s", got)
	}
	want := map[string]any{
		"total_issues": 5.0, "semantic_issues": 0, "style_issues": 2, "security_issues": 0,
		"files_analyzed": 1, "score": 7.0,
	}
	if !reflect.DeepEqual(f.Summary, want) {
		t.Errorf("the summary is %v, want %v", f.Summary, want)
	}
}
