package coding

import (
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Findings are what an analysis has found as a whole: added up from the stream's own entries, so that a client that
// comes late or back is told the same as one that was there.
type Findings struct {
	Issues  []json.RawMessage
	Summary map[string]any
	Files   int // of the analysis, as far as it tells
}

// finding is what is looked at of an entry.
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

// FindingsOf reads an analysis from its beginning. Issues of updates count; only where there are none, those of the
// results of its files.
func FindingsOf(s *hub.Stream) *Findings {
	reader, _ := s.Watch(log.Position{}, log.NewWake())
	defer reader.Close()
	_, items, _ := s.Snapshot(reader)
	out := &Findings{Issues: []json.RawMessage{}}
	var results []json.RawMessage
	counts, files, said := map[string]int{}, map[string]bool{}, map[string]any{}
	for i := range items {
		var f finding
		ev := items[i].Event
		if ev.Kind != log.StreamEvent || json.Unmarshal(ev.Data, &f) != nil {
			continue
		}
		switch ev.Name {
		case hub.EntryRestarted: // another worker began anew
			out.Issues, results = out.Issues[:0], nil
			clear(counts)
			clear(files)
			clear(said)
		case hub.EntrySummary:
			_ = json.Unmarshal(ev.Data, &f.Summary) // an object, or there is none
		}
		counts[f.Type] += len(f.Issues)
		out.Issues = append(out.Issues, f.Issues...)
		results = append(results, f.Result.Issues...)
		out.Files = max(out.Files, f.Total)
		if ev.Name == hub.EntryFileAnalyzed {
			files[f.File] = true
		}
		for name, value := range f.Summary {
			said[name] = value
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
	for name, value := range said { // the analysis knows best
		out.Summary[name] = value
	}
	return out
}
