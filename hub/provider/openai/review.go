package openai

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// review reads the upstream's answers to one analysis: it is the writer of their completions, and reports the issues that they hold.
type review struct {
	req *hub.AnalysisRequest
	w   hub.AnalysisWriter

	first, next int // the files that the running answer is about
	scan        issueScanner
	found       int // issues of the running answer
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

// end checks what came of an answer.
func (r *review) end() error {
	if err := r.take(r.scan.finish()); err != nil {
		return err
	}
	if r.found == 0 && !r.done {
		if r.scan.sample == "" {
			return failure(http.StatusBadGateway, "bad_answer", "the model answered nothing, where it was asked for issues as JSON lines")
		}
		return failure(http.StatusBadGateway, "bad_answer", "the model was asked for issues as JSON lines, and nothing of its answer was understood; it began: %s", r.scan.sample)
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
	raw, _ := json.Marshal(m) // of texts and numbers
	return raw
}

// Accepted implements hub.CompletionWriter, as do the others.
func (r *review) Accepted() { r.w.Accepted() }

// Describe notes the model that answers.
func (r *review) Describe(info hub.CompletionInfo) { r.model = info.Model }

// Text reads the issues in a piece of the answer.
func (r *review) Text(text string) error { return r.take(r.scan.add(text)) }

// Chunk reads the text in a chunk that is more than text; its reasoning and the like are no part of the answer.
func (r *review) Chunk(_ json.RawMessage, text string) error { return r.Text(text) }

// Finish notes how the answer ended.
func (r *review) Finish(reason string, usage json.RawMessage, _ bool) {
	r.truncated = r.truncated || reason == "length"
	var members map[string]any
	_ = json.Unmarshal(usage, &members) // nil without
	for name, v := range members {
		if n, ok := v.(float64); ok {
			if r.usage == nil {
				r.usage = make(map[string]int64)
			}
			r.usage[name] += int64(n)
		}
	}
}

// take reports the issues among the objects of an answer.
func (r *review) take(objects []object) error {
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

// report hands one issue on, if it lies in one of the files that were asked about.
func (r *review) report(o object) error {
	issue := o.issue()
	r.found++
	file := r.file(issue.File)
	if file == nil {
		r.misplaced++
		return nil
	}
	issue.File = file.Path
	if lines := strings.Count(file.Code, "\n") + 1; issue.Line > lines || issue.EndLine > lines { // it is there, but not where it says
		r.misplaced++
		issue.Line, issue.Column, issue.EndLine, issue.EndColumn = 0, 0, 0, 0
	}
	return r.w.Issues(issue)
}

// file finds the file that a model means: by its path, by the end of it, or because there is only one.
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
		if path != "" && (strings.HasSuffix(files[i].Path, "/"+path) || strings.HasSuffix(path, "/"+files[i].Path) || files[i].Path == path) {
			return &files[i]
		}
	}
	return nil
}
