package openai

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// review reads the upstream's answers to one analysis: it is the CompletionWriter of their completions, and reports
// the issues that they contain.
type review struct {
	req *hub.AnalysisRequest
	w   hub.AnalysisWriter

	first, next int // range of the files in the current request
	scan        issueScanner
	found       int // issues in the current answer
	done        bool

	model     string
	usage     map[string]int64
	misplaced int
	truncated bool
}

func (r *review) begin(first, next int) error {
	r.first, r.next, r.found, r.done = first, next, 0, false
	return r.w.Progress(first)
}

// end evaluates a complete answer.
func (r *review) end() error {
	if err := r.reportAll(r.scan.finish()); err != nil {
		return err
	}
	if r.found == 0 && !r.done {
		if r.scan.sample == "" {
			return failure(http.StatusBadGateway, "bad_answer",
				"the model answered nothing, where it was asked for issues as JSON lines")
		}
		return failure(http.StatusBadGateway, "bad_answer",
			"the model was asked for issues as JSON lines, and nothing of its answer was understood; it began: %s",
			r.scan.sample)
	}
	for i := r.first; i < r.next; i++ {
		if err := r.w.FileDone(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *review) metadata() json.RawMessage {
	m := map[string]any{"model": r.model, "unparsed": r.scan.unparsed}
	if r.misplaced > 0 {
		m["misplaced"] = r.misplaced
	}
	if r.truncated {
		m["truncated"] = true
	}
	if r.usage != nil {
		m["usage"] = r.usage
	}
	raw, _ := json.Marshal(m) // strings and numbers always encode
	return raw
}

// Accepted implements hub.CompletionWriter, as do the methods below.
func (r *review) Accepted() { r.w.Accepted() }

// Describe records the model that answers.
func (r *review) Describe(info hub.CompletionInfo) { r.model = info.Model }

// Text scans a piece of the answer for issues.
func (r *review) Text(text string) error { return r.reportAll(r.scan.add(text)) }

// Chunk scans only the text of a chunk; reasoning and other members are not part of the answer.
func (r *review) Chunk(_ json.RawMessage, text string) error { return r.Text(text) }

// Whole scans the text of an answer that was not streamed.
func (r *review) Whole(_ json.RawMessage, text string) error { return r.Text(text) }

// Finish records how the answer ended.
func (r *review) Finish(f hub.Finish) {
	r.truncated = r.truncated || f.Reason == "length"
	var members map[string]any
	_ = json.Unmarshal(f.Usage, &members) // stays nil if there is none
	for name, v := range members {
		if n, ok := v.(float64); ok {
			if r.usage == nil {
				r.usage = make(map[string]int64)
			}
			r.usage[name] += int64(n)
		}
	}
}

// reportAll reports the issues among the objects of an answer.
func (r *review) reportAll(objects []object) error {
	for _, o := range objects {
		switch {
		case o.done():
			r.done = true
		case !o.isIssue():
			r.scan.reject(o.text)
		default:
			if err := r.report(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// report reports one issue, if it is in one of the current files.
func (r *review) report(o object) error {
	issue := o.issue()
	r.found++
	file := r.file(issue.File)
	if file == nil {
		r.misplaced++
		return nil
	}
	issue.File = file.Path
	// the position is wrong, so drop it and keep the issue
	if lines := strings.Count(file.Code, "\n") + 1; issue.Line > lines || issue.EndLine > lines {
		r.misplaced++
		issue.Line, issue.Column, issue.EndLine, issue.EndColumn = 0, 0, 0, 0
	}
	return r.w.Issues(issue)
}

// file returns the file that a model means: by its path, by the end of its path, or because there is only one.
func (r *review) file(path string) *hub.AnalysisFile {
	files := r.req.Files[r.first:r.next]
	for i := range files {
		if files[i].Path == path {
			return &files[i]
		}
	}
	if len(files) == 1 {
		return &files[0]
	}
	path = strings.TrimPrefix(path, "./")
	for i := range files {
		if path != "" && (strings.HasSuffix(files[i].Path, "/"+path) || strings.HasSuffix(path, "/"+files[i].Path) ||
			files[i].Path == path) {
			return &files[i]
		}
	}
	return nil
}
