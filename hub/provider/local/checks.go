package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
)

// longLine is the maximum length of a line in characters.
const longLine = 160

// more is the issue that says how many issues of a rule were left out.
func more(like hub.Issue, n int) hub.Issue {
	like.Message, like.Severity = fmt.Sprintf("%d more of these: %s", n, like.Message), hub.SeverityInfo
	like.Line, like.Column = 0, 0
	return like
}

func checkSyntax(f *hub.AnalysisFile, lang string, found func(hub.Issue)) {
	report := func(line, column int, message string) {
		found(hub.Issue{
			Category: "syntax", Rule: "syntax", Severity: hub.SeverityHigh, Line: line, Column: column,
			Message: message,
		})
	}
	switch lang {
	case "go":
		_, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Code, parser.SkipObjectResolution)
		var list scanner.ErrorList
		errors.As(err, &list)
		for _, e := range list {
			line, column := place(f.Code, e.Pos.Offset) // not Pos.Line, which depends on //line comments
			report(line, column, e.Msg)
		}
	case "json":
		var v json.RawMessage
		err := json.Unmarshal([]byte(f.Code), &v)
		var at *json.SyntaxError
		if errors.As(err, &at) {
			line, column := place(f.Code, int(at.Offset)-1)
			report(line, column, at.Error())
		}
	case "c", "cpp", "cs", "java":
		checkBrackets(f.Code, report)
	}
}

// place returns the line and column of a byte offset.
func place(code string, offset int) (line, column int) {
	before := code[:max(0, min(offset, len(code)))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// checkBrackets finds the first unbalanced bracket in a language with C's comments and strings. It skips files with
// #if, because code that the preprocessor drops may have brackets of its own.
func checkBrackets(code string, report func(line, column int, message string)) {
	if strings.Contains(code, "#if") || strings.Contains(code, `R"`) || strings.Contains(code, `@"`) ||
		strings.Contains(code, `"""`) {
		return
	}
	var open []int
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case '/', '"', '\'':
			i = skipLiteral(code, i)
		case '(', '[', '{':
			open = append(open, i)
		case ')', ']', '}':
			if len(open) == 0 || !matches(code[open[len(open)-1]], c) {
				line, column := place(code, i)
				report(line, column, fmt.Sprintf("%q closes nothing that was opened", c))
				return
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		line, column := place(code, open[len(open)-1])
		report(line, column, fmt.Sprintf("%q is never closed", code[open[len(open)-1]]))
	}
}

func matches(open, closing byte) bool {
	return open == '(' && closing == ')' || open == '[' && closing == ']' || open == '{' && closing == '}'
}

// skipLiteral returns the index of the last byte of the comment, string or character literal that begins at i, or i if
// there is none.
func skipLiteral(code string, i int) int {
	rest := code[i:]
	end := ""
	switch {
	case strings.HasPrefix(rest, "//"):
		end = "\n"
	case strings.HasPrefix(rest, "/*"):
		end = "*/"
	case rest[0] == '/':
		return i
	default:
		for j := 1; j < len(rest) && rest[j] != '\n'; j++ {
			if rest[j] == '\\' {
				j++
			} else if rest[j] == rest[0] {
				return i + j
			}
		}
		return i // a digit separator, as in 1'000
	}
	if n := strings.Index(rest[2:], end); n >= 0 {
		return i + 2 + n + len(end) - 1
	}
	return len(code)
}

func checkConflicts(f *hub.AnalysisFile, _ string, found func(hub.Issue)) {
	n := 0
	for line := range strings.Lines(f.Code) {
		n++
		if strings.HasPrefix(line, "<<<<<<< ") || strings.HasPrefix(line, ">>>>>>> ") {
			found(hub.Issue{
				Category: "conflict", Rule: "merge-conflict", Severity: hub.SeverityHigh, Line: n, Column: 1,
				Message: "a merge conflict is left in",
			})
		}
	}
}

func checkKeys(f *hub.AnalysisFile, _ string, found func(hub.Issue)) {
	n := 0
	for line := range strings.Lines(f.Code) {
		n++
		if at := strings.Index(line, "-----BEGIN "); at >= 0 && strings.Contains(line[at:], "PRIVATE KEY-----") {
			found(hub.Issue{
				Category: "secret", Rule: "private-key", Severity: hub.SeverityCritical, Line: n, Column: at + 1,
				Message: "a private key stands in the code",
			})
		}
	}
}

func checkGoFormat(f *hub.AnalysisFile, lang string, found func(hub.Issue)) {
	if lang != "go" {
		return
	}
	want, err := format.Source([]byte(f.Code))
	if err != nil || string(want) == f.Code { // checkSyntax reports errors
		return
	}
	line := 1
	have := []byte(f.Code)
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			break
		}
		line += bytes.Count(have[i:i+1], []byte("\n"))
	}
	found(hub.Issue{
		Category: "format", Rule: "gofmt", Severity: hub.SeverityLow, Line: line, Column: 1,
		Message: "gofmt would change the file from here on",
	})
}

func checkLines(f *hub.AnalysisFile, _ string, found func(hub.Issue)) {
	n := 0
	for line := range strings.Lines(f.Code) {
		n++
		line = strings.TrimRight(line, "\r\n")
		report := func(column int, severity hub.Severity, rule, message string) {
			found(hub.Issue{
				Category: "layout", Rule: rule, Severity: severity, Line: n, Column: column, Message: message,
			})
		}
		if length := utf8.RuneCountInString(line); length > longLine {
			report(longLine+1, hub.SeverityInfo, "long-line",
				fmt.Sprintf("the line has %d characters; at most %d are easy to read", length, longLine))
		}
		if text := strings.TrimRight(line, " \t"); text != line {
			report(len(text)+1, hub.SeverityInfo, "trailing-space", "white space at the end of the line")
		}
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, " \t") {
			report(1, hub.SeverityLow, "mixed-indent", "a tab behind spaces in the indentation")
		}
		for _, mark := range []string{"TODO", "FIXME", "XXX"} {
			if at := wordAt(line, mark); at >= 0 {
				found(hub.Issue{
					Category: "todo", Rule: "todo", Severity: hub.SeverityInfo, Line: n, Column: at + 1,
					Message: strings.TrimSpace(line[at:]),
				})
				break
			}
		}
	}
	if f.Code != "" && !strings.HasSuffix(f.Code, "\n") {
		found(hub.Issue{
			Category: "layout", Rule: "final-newline", Severity: hub.SeverityInfo, Line: n,
			Message: "no newline at the end of the file",
		})
	}
}

// wordAt returns the index of a whole word in a line, or -1.
func wordAt(line, word string) int {
	at := strings.Index(line, word)
	if at < 0 || at > 0 && isWord(line[at-1]) || at+len(word) < len(line) && isWord(line[at+len(word)]) {
		return -1
	}
	return at
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
