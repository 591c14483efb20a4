package openai

import (
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/eventstream"
)

// TakeChunk passes chunks to a new answer.
func TakeChunk(w hub.CompletionWriter, chunks ...[]byte) error {
	a := &answer{provider: &Provider{}, w: w}
	for _, c := range chunks {
		if _, err := a.compact(c); err != nil { // event ignores empty data, and takes [DONE] for the end
			return err
		}
		if _, err := a.event(eventstream.Event{Data: c}); err != nil {
			return err
		}
	}
	return a.finish()
}

// ScanIssues scans an answer in pieces. It returns its objects, the number of lines that could not be parsed, and the
// first of these.
func ScanIssues(pieces ...string) (objects []map[string]any, unparsed int, sample string) {
	var s issueScanner
	var found []object
	for _, p := range pieces {
		found = append(found, s.add(p)...)
	}
	for _, o := range append(found, s.finish()...) {
		objects = append(objects, o.members)
		_ = o.issue()
	}
	return objects, s.unparsed, s.sample
}

// MissesFault reports whether a chunk of compact JSON is an error that event would take for a chunk.
func MissesFault(line []byte) bool {
	c := parse(line, nil)
	return isFault(line) && !c.suspect && len(c.choices) > 0
}
