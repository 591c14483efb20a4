// Package doctor diagnoses an installation and advises what to do. Local examines the machine and the configuration
// with which a server would start, Remote a running server, including the proxies in front of it. Each check has its
// own file.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Level is the severity of a finding.
type Level int

// The levels. Skipped is for what could not be checked. It does not affect Report.Level.
const (
	Fine Level = iota
	Skipped
	Warning
	Broken
)

var levelNames = [...]string{"fine", "skipped", "warning", "broken"}

func (l Level) String() string { return levelNames[l] }

// MarshalJSON writes the level's name.
func (l Level) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Finding is the result of a check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // advice; "" if it is fine
}

// Report is a list of findings, in the order of the checks. It is not safe for concurrent use.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Level returns the level of the worst finding.
func (r *Report) Level() Level {
	worst := Fine
	for _, f := range r.Findings {
		if f.Level > Skipped {
			worst = max(worst, f.Level)
		}
	}
	return worst
}

// Fine records that a check passed.
func (r *Report) Fine(check, format string, args ...any) { r.add(check, Fine, "", format, args) }

// Skip records what was not checked, and why.
func (r *Report) Skip(check, format string, args ...any) { r.add(check, Skipped, "", format, args) }

// Warn records what works, but badly or not for long.
func (r *Report) Warn(check, do, format string, args ...any) { r.add(check, Warning, do, format, args) }

// Broken records what does not work.
func (r *Report) Broken(check, do, format string, args ...any) {
	r.add(check, Broken, do, format, args)
}

func (r *Report) add(check string, level Level, do, format string, args []any) {
	r.Findings = append(r.Findings, Finding{Check: check, Level: level, Found: fmt.Sprintf(format, args...), Do: do})
}

// marks begin a finding's line in the text form, by level.
var marks = [...]string{"ok  ", "-   ", "WARN", "BAD "}

// WriteText writes a line for each finding, the advice below it, and a summary.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	count := [len(levelNames)]int{}
	for _, f := range r.Findings {
		count[f.Level]++
		fmt.Fprintf(&b, "%s  %-14s  %s\n", marks[f.Level], f.Check, indent(f.Found))
		if f.Do != "" {
			fmt.Fprintf(&b, "%22s→ %s\n", "", indent(f.Do))
		}
	}
	fmt.Fprintf(&b, "\n%d fine, %d warnings, %d broken, %d skipped\n", count[Fine], count[Warning], count[Broken],
		count[Skipped])
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 24)) }

// WriteJSON writes {"level", "findings": [{"check", "level", "found", "do"?}]}.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Level Level `json:"level"`
		*Report
	}{r.Level(), r})
}
