package hub

import (
	"cmp"
	"strings"
)

// Severity is the severity of an issue.
type Severity string

// The severities, in ascending order.
const (
	SeverityInfo     Severity = "info"
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// ParseSeverity parses a severity, or the name that other tools give one: "error", "warning", "note", "hint" … ok is
// false for any other word.
func ParseSeverity(word string) (s Severity, ok bool) {
	switch strings.ToLower(word) {
	case "info", "information", "note", "notice", "hint", "none", "suggestion":
		return SeverityInfo, true
	case "low", "minor", "style", "convention", "refactor":
		return SeverityLow, true
	case "medium", "moderate", "warning", "warn":
		return SeverityMedium, true
	case "high", "error", "major":
		return SeverityHigh, true
	case "critical", "fatal", "blocker":
		return SeverityCritical, true
	}
	return SeverityInfo, false
}

// Issue is one finding of an analysis. Lines and columns count from 1; 0 is unknown.
type Issue struct {
	Type      string   `json:"type"`     // the analysis's: semantic, style, security, or any other
	Category  string   `json:"category"` // within the type: "printf", "unused", "general"
	Message   string   `json:"message"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Column    int      `json:"column"`
	EndLine   int      `json:"end_line,omitempty"`
	EndColumn int      `json:"end_column,omitempty"`
	Severity  Severity `json:"severity"`
	Rule      string   `json:"rule,omitempty"` // the tool's name of the violated rule: "SA4006", "no-unused-vars"
}

// MaxIssueText is the maximum length of an issue's message, in bytes. Other texts of an issue have MaxName.
const MaxIssueText = 4 << 10

// Normal returns the issue with defaults for missing fields, long texts truncated, and valid UTF-8. kind is the default
// of its type.
func (i Issue) Normal(kind string) Issue {
	i.Type = cmp.Or(clean(i.Type, MaxName), kind, "general")
	i.Category = cmp.Or(clean(i.Category, MaxName), "general")
	i.Message = cmp.Or(clean(i.Message, MaxIssueText), "Unknown issue")
	i.File = clean(i.File, maxPath)
	i.Rule = clean(i.Rule, MaxName)
	i.Line, i.Column, i.EndLine, i.EndColumn = max(i.Line, 0), max(i.Column, 0), max(i.EndLine, 0), max(i.EndColumn, 0)
	i.Severity, _ = ParseSeverity(string(i.Severity))
	return i
}

// clean returns s as valid UTF-8, without surrounding white space, and truncated to limit bytes.
func clean(s string, limit int) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > limit {
		s = s[:wholeRunes([]byte(s[:limit-len("…")]))] + "…"
	}
	return s
}

// AnalysisSummary is the data of EntrySummary. Errors counts issues of high or critical severity, Warnings those of low
// or medium.
type AnalysisSummary struct {
	Total    int `json:"total_issues"`
	Semantic int `json:"semantic_issues"`
	Style    int `json:"style_issues"`
	Security int `json:"security_issues"`
	Files    int `json:"files_analyzed"`
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Info     int `json:"info"`
}

// Count adds one issue.
func (s *AnalysisSummary) Count(i *Issue) {
	s.Total++
	switch strings.ToLower(i.Type) {
	case "semantic":
		s.Semantic++
	case "style":
		s.Style++
	case "security":
		s.Security++
	}
	switch i.Severity {
	case SeverityCritical, SeverityHigh:
		s.Errors++
	case SeverityMedium, SeverityLow:
		s.Warnings++
	default:
		s.Info++
	}
}
