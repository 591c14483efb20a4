package coding

import (
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Findings are the combined result of an analysis. They are computed from the entries of its stream, so that a client
// that connects late gets the same as any other.
type Findings struct {
	Issues  []json.RawMessage
	Summary map[string]any
	Files   int // number of files, if the analysis reports it
}

// finding has the members of an entry that count.
type finding struct {
	Type    string            `json:"type"`
	File    string            `json:"file"`
	Total   int               `json:"total"`
	Issues  []json.RawMessage `json:"issues"`
	Summary map[string]any    `json:"summary"`
	Result  struct {
		Issues []json.RawMessage `json:"issues"`
	} `json:"result"`
}

// FindingsOf reads an analysis from its first entry. Only if its updates contain no issues, the issues in the results
// of its files count.
func FindingsOf(s *hub.Stream) *Findings {
	reader, _ := s.Watch(log.Position{}, log.NewWake())
	defer reader.Close()
	_, items, _ := s.Snapshot(reader)
	out := &Findings{Issues: []json.RawMessage{}}
	var results []json.RawMessage
	counts, files, summary := map[string]int{}, map[string]bool{}, map[string]any{}
	for i := range items {
		var f finding
		ev := items[i].Event
		if ev.Kind != log.StreamEvent || json.Unmarshal(ev.Data, &f) != nil {
			continue
		}
		switch ev.Name {
		case hub.EntryRestarted: // another worker started over
			out.Issues, results = out.Issues[:0], nil
			clear(counts)
			clear(files)
			clear(summary)
		case hub.EntrySummary:
			_ = json.Unmarshal(ev.Data, &f.Summary) // the summary, if it is an object
		}
		counts[f.Type] += len(f.Issues)
		out.Issues = append(out.Issues, f.Issues...)
		results = append(results, f.Result.Issues...)
		out.Files = max(out.Files, f.Total)
		if ev.Name == hub.EntryFileAnalyzed {
			files[f.File] = true
		}
		for name, value := range f.Summary {
			summary[name] = value
		}
	}
	if len(out.Issues) == 0 && len(results) > 0 {
		out.Issues = results
	}
	out.Files = max(out.Files, len(files))
	out.Summary = map[string]any{
		"total_issues": len(out.Issues), "semantic_issues": counts["semantic"], "style_issues": counts["style"],
		"security_issues": counts["security"], "files_analyzed": len(files),
	}
	for name, value := range summary { // the analysis' own values take precedence
		out.Summary[name] = value
	}
	return out
}
