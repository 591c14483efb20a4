package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// The parts of a SARIF 2.1.0 log that describe results (OASIS SARIF 2.1.0 §3.13 to §3.27).
type sarifLog struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifTool `json:"driver"`
	} `json:"tool"`
	Results   []sarifResult `json:"results"`
	Artifacts []struct {
		Location sarifFile `json:"location"`
	} `json:"artifacts"`
}

type sarifTool struct {
	Name  string      `json:"name"`
	Rules []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID       string                  `json:"id"`
	Name     string                  `json:"name"`
	Messages map[string]sarifMessage `json:"messageStrings"`
	Default  struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
	Properties struct {
		Tags     []string `json:"tags"`
		Severity any      `json:"security-severity"`
	} `json:"properties"`
}

type sarifMessage struct {
	Text      string   `json:"text"`
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID    string `json:"id"`
		Index *int   `json:"index"`
	} `json:"rule"`
	Kind         string            `json:"kind"`
	Level        string            `json:"level"`
	Message      sarifMessage      `json:"message"`
	Locations    []sarifLocation   `json:"locations"`
	Suppressions []json.RawMessage `json:"suppressions"`
}

type sarifLocation struct {
	Physical struct {
		File   sarifFile `json:"artifactLocation"`
		Region struct {
			StartLine   int `json:"startLine"`
			StartColumn int `json:"startColumn"`
			EndLine     int `json:"endLine"`
			EndColumn   int `json:"endColumn"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

type sarifFile struct {
	URI   string `json:"uri"`
	Index *int   `json:"index"`
}

var errNoSARIF = errors.New("it is no SARIF log: an object with version and runs is needed")

// ReadSARIF parses a SARIF 2.1.0 log. It omits suppressed results, and results that are not failures. Files are as the
// tool wrote them, without percent escapes and file://.
func ReadSARIF(data []byte) ([]hub.Issue, error) {
	var log sarifLog
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &log); err != nil {
		return nil, fmt.Errorf("it is no SARIF log: %w", err)
	}
	if log.Version == "" || log.Runs == nil {
		return nil, errNoSARIF
	}
	if log.Version != "2.1.0" {
		return nil, fmt.Errorf("it is a SARIF log of version %.20q; 2.1.0 is understood", log.Version)
	}
	var issues []hub.Issue
	for i := range log.Runs {
		run := &log.Runs[i]
		for j := range run.Results {
			if r := &run.Results[j]; len(r.Suppressions) == 0 && (r.Kind == "" || r.Kind == "fail") {
				issues = append(issues, run.issue(r))
			}
		}
	}
	return issues, nil
}

// issue converts one result.
func (run *sarifRun) issue(r *sarifResult) hub.Issue {
	rule := run.rule(r)
	i := hub.Issue{Message: r.text(rule), Rule: rule.ID, Category: rule.Name, Severity: severity(r, rule)}
	if slices.Contains(rule.Properties.Tags, "security") {
		i.Type = "security"
	}
	if len(r.Locations) > 0 {
		at := &r.Locations[0].Physical
		i.File = run.path(&at.File)
		region := &at.Region
		i.Line, i.Column, i.EndLine, i.EndColumn = region.StartLine, region.StartColumn, region.EndLine, region.EndColumn
	}
	return i
}

// rule finds a result's rule by index or id. A rule that is not listed has only its id.
func (run *sarifRun) rule(r *sarifResult) *sarifRule {
	id := r.RuleID
	if id == "" {
		id = r.Rule.ID
	}
	rules := run.Tool.Driver.Rules
	for _, index := range []*int{r.RuleIndex, r.Rule.Index} {
		if index != nil && *index >= 0 && *index < len(rules) && (id == "" || rules[*index].ID == id) {
			return &rules[*index]
		}
	}
	for i := range rules {
		if id != "" && rules[i].ID == id {
			return &rules[i]
		}
	}
	return &sarifRule{ID: id}
}

// text returns a result's message: its own text, or the rule's text with the arguments inserted.
func (r *sarifResult) text(rule *sarifRule) string {
	text := r.Message.Text
	if text == "" {
		text = rule.Messages[r.Message.ID].Text
	}
	for n, arg := range r.Message.Arguments {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(n)+"}", arg)
		if len(text) > 2*hub.MaxIssueText { // it will be cut anyway
			break
		}
	}
	return text
}

// severity returns the level of a result, of its rule, or SARIF's default. It is more precise if the rule has a
// security severity.
func severity(r *sarifResult, rule *sarifRule) hub.Severity {
	score, err := strconv.ParseFloat(fmt.Sprint(rule.Properties.Severity), 64)
	if err == nil && score >= 9 {
		return hub.SeverityCritical
	}
	word := r.Level
	if word == "" {
		word = rule.Default.Level
	}
	if s, ok := hub.ParseSeverity(word); ok {
		return s
	}
	return hub.SeverityMedium
}

// path returns the file of a location, which may be in the run's list of files.
func (run *sarifRun) path(f *sarifFile) string {
	uri := f.URI
	if uri == "" && f.Index != nil && *f.Index >= 0 && *f.Index < len(run.Artifacts) {
		uri = run.Artifacts[*f.Index].Location.URI
	}
	if rest, ok := strings.CutPrefix(uri, "file://"); ok {
		_, path, _ := strings.Cut(rest, "/") // without the host
		uri = "/" + path
	}
	if path, err := url.PathUnescape(uri); err == nil {
		return path
	}
	return uri
}
