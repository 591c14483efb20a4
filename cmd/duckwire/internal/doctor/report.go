// Package doctor looks for what is wrong with an installation, and says what to do about it: Local examines the machine and the configuration
// that a server would start with, Remote a server that runs, through whatever proxies are in front of it. One check, one file.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Level is how bad a finding is.
type Level int

// From what needs nothing to what does not work. Skipped is what could not be looked at, and why: it is not counted as bad.
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

// Finding is what one look has found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // what to do about it; "" where it is fine
}

// Report is what was found, in the order of looking. It is not safe for concurrent use.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Level is that of the worst finding.
func (r *Report) Level() Level {
	worst := Fine
	for _, f := range r.Findings {
		if f.Level > Skipped {
			worst = max(worst, f.Level)
		}
	}
	return worst
}

// Fine notes that something is as it should be.
func (r *Report) Fine(check, format string, args ...any) { r.add(check, Fine, "", format, args) }

// Skip notes what was not looked at, and why.
func (r *Report) Skip(check, format string, args ...any) { r.add(check, Skipped, "", format, args) }

// Warn notes what works, and not well, or not for long.
func (r *Report) Warn(check, do, format string, args ...any) { r.add(check, Warning, do, format, args) }

// Broken notes what does not work.
func (r *Report) Broken(check, do, format string, args ...any) {
	r.add(check, Broken, do, format, args)
}

func (r *Report) add(check string, level Level, do, format string, args []any) {
	r.Findings = append(r.Findings, Finding{Check: check, Level: level, Found: fmt.Sprintf(format, args...), Do: do})
}

// marks stand at the beginning of a line for people.
var marks = [...]string{"ok  ", "-   ", "WARN", "BAD "}

// WriteText writes one line a finding, what to do below it, and a summary.
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
	fmt.Fprintf(&b, "\n%d fine, %d warnings, %d broken, %d skipped\n", count[Fine], count[Warning], count[Broken], count[Skipped])
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
