// Package lint runs a linter over the files of a job, and parses its output: lines, or SARIF.
package lint

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// maxLineBytes is how much of a line is parsed.
const maxLineBytes = 16 << 10

var (
	// place matches "path:line:col: " and "path:line: ", the format of gcc and most other tools, and TypeScript's
	// "path(line,col): ".
	place = regexp.MustCompile(`^((?:[A-Za-z]:[\\/])?[^:]*[^:\s]):(\d{1,9})(?::(\d{1,9}))?(?:-(\d{1,9}))?:\s*(.*)$`)
	paren = regexp.MustCompile(`^(.*[^\s(])\((\d{1,9})(?:,(\d{1,9}))?\):\s*(.*)$`)
	// level matches the word for a severity before a message, and TypeScript's code after that word.
	level = regexp.MustCompile(`^(?i:` +
		`(fatal error|fatal|error|warning|warn|note|info|information|hint|style|convention|refactor)` +
		`(?: ([A-Z]+\d+))?:)\s*(.*)$`)
	// code matches "E501 " and "C0114: " before a message.
	code = regexp.MustCompile(`^([A-Z]{1,6}\d{2,6}):?\s+(.*)$`)
	// tail matches "[-Wunused]", "[Error/no-unused-vars]" and "(U1000)" after a message.
	tail = regexp.MustCompile(`^(.*\S)\s+(?:` +
		`\[([A-Za-z0-9][A-Za-z0-9_@/.-]*|-W[A-Za-z0-9=+-]+)\]|` +
		`\(([A-Za-z][A-Za-z0-9_-]*\d|[a-z0-9]+(?:-[a-z0-9]+)+|[a-z]{3,})\))$`)
)

// ParseLine parses one line of a linter's output, such as
//
//	./main.go:12:3: fmt.Printf format %d has arg s of wrong type string
//	lib/a.c:3:5: warning: unused variable 'x' [-Wunused-variable]
//	src/a.ts(3,5): error TS2322: Type 'string' is not assignable to type 'number'.
//
// ok is false if the line does not name a place. The issue's file is as the tool wrote it. The caller must check
// whether that file exists, because "12:30:45: done" looks like a place, too. The severity is medium if the line has
// none.
func ParseLine(line string) (issue hub.Issue, ok bool) {
	if len(line) > maxLineBytes {
		line = line[:maxLineBytes]
	}
	line = strings.TrimPrefix(strings.TrimRight(line, " \t\r\n"), "vet: ")
	if line == "" || line[0] == ' ' || line[0] == '\t' || line[0] == '#' {
		return issue, false
	}
	var message string
	if m := place.FindStringSubmatch(line); m != nil {
		issue.File, issue.Line, issue.Column, issue.EndColumn, message = m[1], number(m[2]), number(m[3]), number(m[4]), m[5]
	} else if m := paren.FindStringSubmatch(line); m != nil {
		issue.File, issue.Line, issue.Column, message = m[1], number(m[2]), number(m[3]), m[4]
	} else {
		return issue, false
	}
	issue.Severity = hub.SeverityMedium
	readMessage(&issue, message)
	return issue, issue.Message != ""
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // at most nine digits
	return n
}

// readMessage removes severity and rule from the beginning or the end of a message.
func readMessage(issue *hub.Issue, message string) {
	if m := level.FindStringSubmatch(message); m != nil {
		word, _, _ := strings.Cut(m[1], " ")
		issue.Severity, _ = hub.ParseSeverity(word)
		issue.Rule, message = m[2], m[3]
	}
	if m := code.FindStringSubmatch(message); m != nil && issue.Rule == "" {
		issue.Rule, message = m[1], m[2]
	}
	if m := tail.FindStringSubmatch(message); m != nil {
		rule := m[2] + m[3]
		if word, rest, found := strings.Cut(rule, "/"); found { // eslint's unix format
			if s, known := hub.ParseSeverity(word); known {
				issue.Severity, rule = s, rest
			}
		}
		if issue.Rule == "" {
			issue.Rule = rule
		} else {
			issue.Category = rule
		}
		message = m[1]
	}
	issue.Message = message
}
